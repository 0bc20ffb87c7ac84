repeating(1000, function(n)
  local body = string.format('{"key":"%s","value":"%s"}', base64("bench-" .. n), base64(n .. ".5"))
  return wrk.format("POST", "/v3/kv/put", json, body)
end)

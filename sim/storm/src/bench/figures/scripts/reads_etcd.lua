repeating(1000, function(n)
  return wrk.format("POST", "/v3/kv/range", json, '{"key":"' .. base64("bench-" .. n) .. '"}')
end)

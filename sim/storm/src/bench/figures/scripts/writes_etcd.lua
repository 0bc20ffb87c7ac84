local requests, at = {}, 0

function init()
  local headers = { ["Content-Type"] = "application/json" }
  for n = 0, 999 do
    local body = string.format('{"key":"%s","value":"%s"}', base64("bench-" .. n), base64(n .. ".5"))
    requests[n] = wrk.format("POST", "/v3/kv/put", headers, body)
  end
  at = number * 500
end

function request()
  at = at + 1
  return requests[at % 1000]
end

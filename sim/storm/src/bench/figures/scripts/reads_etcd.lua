local requests, at = {}, 0

function init()
  local headers = { ["Content-Type"] = "application/json" }
  for n = 0, 999 do
    requests[n] = wrk.format("POST", "/v3/kv/range", headers, '{"key":"' .. base64("bench-" .. n) .. '"}')
  end
  at = number * 500
end

function request()
  at = at + 1
  return requests[at % 1000]
end

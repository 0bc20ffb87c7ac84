local requests, at = {}, 0

function init()
  local headers = { ["Content-Type"] = "application/json" }
  for n = 0, 999 do
    local body = string.format('{"metric_name":"bench-%d","value":%d.5}', n, n)
    requests[n] = wrk.format("POST", "/metrics", headers, body)
  end
  at = number * 500
end

function request()
  at = at + 1
  return requests[at % 1000]
end

-- Batches of 1,000: 10 names of 100 hosts each, so 1,000 series.
local requests, at = {}, 0

function init()
  local headers = { ["Content-Type"] = "application/json" }
  for batch = 0, 9 do
    local metrics = {}
    for n = 0, 999 do
      metrics[#metrics + 1] = string.format(
        '{"name":"bench_%d","value":%d.25,"type":"gauge","tags":{"host":"server%d"}}',
        n % 10, (batch * 1000 + n) * 7919 % 1000, math.floor(n / 10))
    end
    requests[batch] = wrk.format("POST", "/metrics", headers, '{"metrics":[' .. table.concat(metrics, ",") .. "]}")
  end
  at = number * 5
end

function request()
  at = at + 1
  return requests[at % 10]
end

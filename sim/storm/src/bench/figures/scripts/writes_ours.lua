repeating(1000, function(n)
  local body = string.format('{"metric_name":"bench-%d","value":%d.5}', n, n)
  return wrk.format("POST", "/metrics", json, body)
end)

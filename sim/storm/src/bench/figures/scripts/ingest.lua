-- Batches of 1,000: 10 names of 100 hosts each, so 1,000 series.
repeating(10, function(batch)
  local metrics = {}
  for n = 0, 999 do
    metrics[#metrics + 1] = string.format(
      '{"name":"bench_%d","value":%d.25,"type":"gauge","tags":{"host":"server%d"}}',
      n % 10, (batch * 1000 + n) * 7919 % 1000, math.floor(n / 10))
  end
  return wrk.format("POST", "/metrics", json, '{"metrics":[' .. table.concat(metrics, ",") .. "]}")
end)

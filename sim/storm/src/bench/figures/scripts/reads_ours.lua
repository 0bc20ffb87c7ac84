repeating(1000, function(n)
  return wrk.format("GET", "/metrics/bench-" .. n .. "/aggregate")
end)

local requests, at = {}, 0

function init()
  for n = 0, 999 do
    requests[n] = wrk.format("GET", "/metrics/bench-" .. n .. "/aggregate")
  end
  at = number * 500
end

function request()
  at = at + 1
  return requests[at % 1000]
end

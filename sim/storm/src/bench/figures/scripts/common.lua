-- Before every script: threads take the targets in turn, and the end is one line for the program to read.
local threads = 0

function setup(thread)
  local host, port = targets[threads % #targets + 1]:match("^(.*):(%d+)$")
  threads = threads + 1
  thread:set("number", threads)
  thread.addr = wrk.lookup(host, port)[1]
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format("result %d %d %d %d %d %d", summary.duration, summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end

-- `count` requests, each made once, sent one after the other; every thread begins at another one.
function repeating(count, make)
  local requests, at = {}, 0
  function init()
    for n = 0, count - 1 do
      requests[n] = make(n)
    end
    at = number * math.floor(count / 2)
  end
  function request()
    at = at + 1
    return requests[at % count]
  end
end

json = { ["Content-Type"] = "application/json" }

local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

-- etcd's JSON gateway wants keys and values so.
function base64(text)
  local out = {}
  for at = 1, #text, 3 do
    local a, b, c = text:byte(at, at + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    for place = 3, 0, -1 do
      local six = math.floor(bits / 64 ^ place) % 64
      local there = place >= 2 or (place == 1 and b) or (place == 0 and c)
      out[#out + 1] = there and letters:sub(six + 1, six + 1) or "="
    end
  end
  return table.concat(out)
end

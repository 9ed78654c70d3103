-- wrk -s load.lua URL -- FILE PATH FIRST
-- Sends the bodies of FILE, one a line, in turn. Ten '@' in a line become a number that rises from FIRST (ten digits), so that
-- no transaction is sent twice. Prints one line that begins with RESULT.
local heads, tails, count = {}, {}, 0
local number, path

function init(arguments)
  path, number = arguments[2], tonumber(arguments[3])
  for line in io.lines(arguments[1]) do
    local head, tail = line:match("^(.-)@@@@@@@@@@(.*)$")
    count = count + 1
    local start = "POST " .. path .. " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: "
      .. #line .. "\r\n\r\n"
    heads[count] = start .. (head or line)
    tails[count] = tail or false
  end
end

function request()
  number = number + 1
  local place = number % count + 1
  local tail = tails[place]
  return tail and heads[place] .. number .. tail or heads[place]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.timeout, errors.status,
    latency:percentile(50), latency:percentile(99)))
end

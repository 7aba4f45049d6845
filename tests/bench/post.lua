-- wrk -s post.lua URL -- BODIES HEADER: posts the file's lines in turn, and writes what it found as one line of JSON.
local texts, turn = {}, 0

function init(args)
  local headers = { ["Content-Type"] = "application/json", ["Authorization"] = args[2] }
  for line in io.lines(args[1]) do
    texts[#texts + 1] = wrk.format("POST", nil, headers, line)
  end
end

function request()
  turn = turn % #texts + 1
  return texts[turn]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  local form = '{"requests": %d, "failed": %d, "seconds": %f, "p50": %f, "p99": %f}\n'
  local spent = summary.duration / 1e6
  io.write(form:format(summary.requests, failed, spent, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end

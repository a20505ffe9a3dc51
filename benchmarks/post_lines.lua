-- Posts each line of the file BODIES once, in order, over all connections; stops after the last answer.
-- One thread only (-t1): the counters are its own.
local bodies, sent, answered, refused = {}, 0, 0, 0

function init()
  for line in io.lines(os.getenv("BODIES")) do
    bodies[#bodies + 1] = wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, line)
  end
end

function request()
  sent = sent + 1
  return bodies[sent] or bodies[#bodies]
end

function response(status, headers, body)
  answered = answered + 1
  if status ~= 200 or body:find('"error"', 1, true) then
    refused = refused + 1
    if refused == 1 then
      io.stderr:write("first refusal: " .. status .. " " .. body:sub(1, 300) .. "\n")
    end
  end
  if answered >= #bodies then
    wrk.thread:stop()
  end
end

function done(summary, latency)
  io.write(string.format(
    '{"duration_s": %f, "requests": %d, "p50_ms": %f, "p99_ms": %f, "socket_errors": %d}\n',
    summary.duration / 1e6, summary.requests, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end

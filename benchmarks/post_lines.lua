-- Posts each line of the file BODIES once, in order, over all connections; ends with the last answer.
-- One thread only (-t1): the counters are its own. wrk's summary counts its full -d, so the time is taken here.
local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long ns; } timespec_t; int clock_gettime(int clock, timespec_t *now);")
local MONOTONIC, IDLE_MS = 1, 600000
local bodies, taken, sent, answered, accepted, verified, started = {}, 0, 0, 0, 0, false, nil

local function now()
  local t = ffi.new("timespec_t")
  ffi.C.clock_gettime(MONOTONIC, t)
  return tonumber(t.s) + tonumber(t.ns) / 1e9
end

function init()
  for line in io.lines(os.getenv("BODIES")) do
    bodies[#bodies + 1] = wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, line)
  end
end

-- Asked once before each request, so the line is taken here: a connection without one rests until the end.
function delay()
  if taken >= #bodies then
    return IDLE_MS
  end
  taken = taken + 1
  return 0
end

-- wrk asks for one request before it starts, to look at it; that one is not sent.
function request()
  if not verified then
    verified = true
    return bodies[1]
  end
  started = started or now()
  sent = sent + 1
  return bodies[sent]
end

function response(status, headers, body)
  answered = answered + 1
  local at = body:find('"result":', 1, true)
  while at do
    accepted = accepted + 1
    at = body:find('"result":', at + 9, true)
  end
  if body:find('"error":', 1, true) then
    io.stderr:write("refused: " .. status .. " " .. body:match('"error":.-}') .. "\n")
  end
  if answered >= #bodies then
    io.write(string.format('{"duration_s": %f, "accepted": %d}\n', now() - started, accepted))
    io.flush()
    os.exit(0)
  end
end

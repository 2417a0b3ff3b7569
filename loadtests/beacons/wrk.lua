-- Sends the pinned requests of FILE in turns (zero bytes stand between them), their marks replaced
-- by a number that no other request carries.
-- Started as: wrk -s THIS URL -- FILE SEED; prints one line of JSON at the end.

local MARK = string.rep("@", 30)
local requests, seed, sent = {}, nil, 0

local function cut(text, sign)
  local pieces, from = {}, 1
  while true do
    local start, stop = text:find(sign, from, true)
    if not start then break end
    pieces[#pieces + 1] = text:sub(from, start - 1)
    from = stop + 1
  end
  pieces[#pieces + 1] = text:sub(from)
  return pieces
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  for index, text in ipairs(cut(file:read("*a"), "\0")) do
    requests[index] = cut(text, MARK)
  end
  file:close()
  seed = string.format("%018x", tonumber(args[2]))
end

function request()
  sent = sent + 1
  local name = seed .. string.format("%012x", sent)
  local parts = requests[sent % #requests + 1]
  if #parts == 2 then return parts[1] .. name .. parts[2] end
  return table.concat(parts, name)
end

function done(summary, latency)
  local errors = summary.errors
  local wrong = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"wrong":%d,"p50_us":%d,"p99_us":%d}\n',
    summary.requests, summary.duration, wrong, latency:percentile(50), latency:percentile(99)))
end

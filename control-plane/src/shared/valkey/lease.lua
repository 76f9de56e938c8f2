-- Gives a share of a quota's window, and takes back what of an earlier share is left.
-- KEYS: hash of the window's number and what of it is used.
-- ARGV: most of a window, its length in milliseconds, need, want, what is returned and of which window, then the window
-- and use that the caller saw last: where the server lost its memory, that is where counting goes on.
-- Returns the share, the window, the time left of it in milliseconds, and what of it is used now.
local max, length, need, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local window = math.floor(now / length)

local stored = redis.call('HMGET', KEYS[1], 'window', 'used')
local used = 0
if stored[1] then
  local known = tonumber(stored[1])
  -- A server that took over from another may have a clock that is a little behind.
  if known == window + 1 then
    window = known
  end
  if known == window then
    used = tonumber(stored[2])
  end
elseif tonumber(ARGV[7]) == window then
  used = tonumber(ARGV[8])
end

if tonumber(ARGV[6]) == window then
  used = math.max(0, used - tonumber(ARGV[5]))
end
local left = math.max(0, max - used)
local granted = left
if left >= need then
  granted = math.min(want, math.max(need, math.floor(left / 4)))
end
used = used + granted
local remaining = (window + 1) * length - now
redis.call('HSET', KEYS[1], 'window', window, 'used', used)
redis.call('PEXPIRE', KEYS[1], remaining + 10000)
return {granted, window, remaining, used}

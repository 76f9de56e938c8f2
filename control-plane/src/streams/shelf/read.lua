-- Reads a stream, for a control plane that does not write it.
-- KEYS: as those of writing.
-- ARGV: the position to read after, most events, how long it is known that somebody reads, in milliseconds (0: nobody does), and
-- what the stream ends with where it has no end and nobody writes it any more; up to where it was delivered to that one; how long
-- its writer may be without a claim, in milliseconds, from the first look that finds none: after a pause of the store itself
-- claims have run out, and readers may be back sooner than writers.
-- Returns the state's fields and values (none where there is no stream), and the events with their ids.
if redis.call('HEXISTS', KEYS[2], 'forgotten') == 1 then
  return { { 'forgotten', '1' }, {} }
elseif redis.call('EXISTS', KEYS[2]) == 0 then
  return { {}, {} }
end
if ARGV[3] ~= '0' then
  redis.call('SET', KEYS[4], '1', 'PX', ARGV[3])
  local known = tonumber(redis.call('HGET', KEYS[2], 'delivered-elsewhere') or '0')
  if tonumber(ARGV[5]) > known then
    redis.call('HSET', KEYS[2], 'delivered-elsewhere', ARGV[5])
  end
end
if redis.call('EXISTS', KEYS[3]) == 0 and redis.call('HEXISTS', KEYS[2], 'end') == 0 then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  local grace = tonumber(ARGV[6])
  local unclaimed = now - tonumber(redis.call('HGET', KEYS[2], 'unclaimed') or '0')
  if unclaimed > 2 * grace then
    -- Nobody has looked for long, or nobody could.
    redis.call('HSET', KEYS[2], 'unclaimed', now)
  elseif unclaimed >= grace then
    redis.call('HSET', KEYS[2], 'end', ARGV[4])
  end
end
local first = string.format('%d-0', tonumber(ARGV[1]) + 1)
return { redis.call('HGETALL', KEYS[2]), redis.call('XRANGE', KEYS[1], first, '+', 'COUNT', ARGV[2]) }

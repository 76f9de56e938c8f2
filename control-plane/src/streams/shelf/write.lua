-- Adds events to a stream and says how it is, for the control plane that writes it, and renews its claim.
-- KEYS: events (a stream; an entry's id is the event's position), state (a hash), the writer's claim, the readers' sign; all in
-- one slot.
-- ARGV: the writer, the life of its claim and of the stream in milliseconds, how many events are not kept any more, whether the
-- stream begins ("1"), the position before the first event, up to where it was written before, how many fields and values of the
-- state follow, these, then the events.
-- Returns flags and the position up to which the stream was delivered elsewhere. Flags: -1 where the stream is another writer's,
-- -2 where it, or some of it, is not there (any more), -3 where a reader has ended it; else 1 where it is to be cancelled, plus 2
-- where somebody reads it elsewhere.
local held = redis.call('GET', KEYS[3])
if ARGV[5] == '1' then
  -- A beginning that is said again leaves what was noted since.
  if held ~= ARGV[1] then
    redis.call('DEL', KEYS[1], KEYS[2])
  end
elseif held and held ~= ARGV[1] then
  return { -1, 0 }
elseif not held and redis.call('HEXISTS', KEYS[2], 'end') == 1 then
  return { -3, 0 }
elseif redis.call('HEXISTS', KEYS[2], 'forgotten') == 0
    and tonumber(redis.call('HGET', KEYS[2], 'last') or '-1') < tonumber(ARGV[7]) then
  return { -2, 0 }
end
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
if not held then
  redis.call('HDEL', KEYS[2], 'unclaimed')
end
if redis.call('HEXISTS', KEYS[2], 'forgotten') == 1 then
  return { 1, 0 }
end
local fields = tonumber(ARGV[8])
redis.call('HSET', KEYS[2], unpack(ARGV, 9, 8 + fields))
local before = tonumber(ARGV[6])
for i = 9 + fields, #ARGV do
  before = before + 1
  -- One that is there already stays as it is.
  redis.pcall('XADD', KEYS[1], string.format('%d-0', before), 'e', ARGV[i])
end
redis.call('XTRIM', KEYS[1], 'MINID', string.format('%d-0', tonumber(ARGV[4]) + 1))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local flags = redis.call('HEXISTS', KEYS[2], 'cancel') + 2 * redis.call('EXISTS', KEYS[4])
return { flags, tonumber(redis.call('HGET', KEYS[2], 'delivered-elsewhere') or '0') }

-- Give a partition up, and wake the other workers.
--
-- KEYS: owners, changes. ARGV: partition, token.
local owners, changes = KEYS[1], KEYS[2]
local partition, token = unpack(ARGV)
if redis.call('HGET', owners, partition) == token then
    redis.call('HDEL', owners, partition)
    redis.call('XADD', changes, 'MAXLEN', '~', 100, '*', 'released', partition)
end

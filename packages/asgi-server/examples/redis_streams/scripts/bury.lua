-- Move a message to the dead-letter stream.
--
-- KEYS: owners, messages, dead. ARGV: partition, token, group, id, deliveries, error.
local owners, messages, dead = KEYS[1], KEYS[2], KEYS[3]
local partition, token, group, id, deliveries, message = unpack(ARGV)
if redis.call('HGET', owners, partition) ~= token then
    return redis.error_reply('NOTOWNER another worker owns the partition')
end

local entry = redis.call('XRANGE', messages, id, id)[1]
-- What is not pending any more was moved by this very call, whose response was lost.
if redis.call('XACK', messages, group, id) == 1 and entry then
    redis.call('XADD', dead, '*', 'partition', partition, 'id', id,
        'deliveries', deliveries, 'error', message, unpack(entry[2]))
    redis.call('XDEL', messages, id)
end

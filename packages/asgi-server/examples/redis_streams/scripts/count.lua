-- Set how many times a pending message was delivered, before it is delivered once more.
--
-- KEYS: owners, messages. ARGV: partition, token, group, worker, id, number.
local owners, messages = KEYS[1], KEYS[2]
local partition, token, group, worker, id, number = unpack(ARGV)
if redis.call('HGET', owners, partition) ~= token then
    return redis.error_reply('NOTOWNER another worker owns the partition')
end
redis.call('XCLAIM', messages, group, worker, 0, id, 'RETRYCOUNT', number, 'JUSTID')

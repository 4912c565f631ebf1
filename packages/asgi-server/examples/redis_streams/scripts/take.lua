-- Read the messages that follow one: first those that were read before and not acknowledged, by
-- whomever, then new ones. Called again with the same arguments, it returns the same messages.
--
-- KEYS: owners, messages. ARGV: partition, token, group, worker, id to read after, count.
-- Returns for each message: id, fields, and how many times it was delivered before.
local owners, messages = KEYS[1], KEYS[2]
local partition, token, group, worker, after, count = unpack(ARGV)
if redis.call('HGET', owners, partition) ~= token then
    return redis.error_reply('NOTOWNER another worker owns the partition')
end

local taken = {}
local cursor = '(' .. after
repeat
    -- JUSTID, or each claim would count as a delivery, also of messages that only wait.
    local claimed = redis.call(
        'XAUTOCLAIM', messages, group, worker, 0, cursor, 'COUNT', count, 'JUSTID')
    cursor = claimed[1]
    for _, id in ipairs(claimed[2]) do
        local fields = redis.call('XRANGE', messages, id, id)[1][2]
        local deliveries = redis.call('XPENDING', messages, group, id, id, 1)[1][4]
        table.insert(taken, {id, fields, deliveries})
    end
until #taken > 0 or cursor == '0-0'
if #taken > 0 then return taken end

local read = redis.call(
    'XREADGROUP', 'GROUP', group, worker, 'COUNT', count, 'STREAMS', messages, '>')
for _, entry in ipairs(read and read[1][2] or {}) do
    table.insert(taken, {entry[1], entry[2], 0})
end
return taken

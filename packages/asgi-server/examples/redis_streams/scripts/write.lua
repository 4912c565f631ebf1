-- Acknowledge messages and publish their replies, each message and its replies in one step.
--
-- KEYS: owners, messages, replies. ARGV: partition, token, group, length of the reply stream,
-- then for each message: id, scope, number of replies, replies. An empty id: replies to none.
local owners, messages, replies = KEYS[1], KEYS[2], KEYS[3]
local partition, token, group, length = unpack(ARGV, 1, 4)
if redis.call('HGET', owners, partition) ~= token then
    return redis.error_reply('NOTOWNER another worker owns the partition')
end

local at = 5
while at <= #ARGV do
    local id, scope, number = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
    -- What is not pending any more was answered by this very call, whose response was lost.
    if id == '' or redis.call('XACK', messages, group, id) == 1 then
        for reply = at + 3, at + 2 + number do
            redis.call('XADD', replies, 'MAXLEN', '~', length, '*',
                'scope', scope, 'to', id, 'text', ARGV[reply])
        end
        if id ~= '' then redis.call('XDEL', messages, id) end
    end
    at = at + 3 + number
end

-- Renew the lease of a worker, remove workers whose lease ran out, take partitions nobody owns.
--
-- KEYS: members, leases, owners, epoch, changes, then the messages of each partition.
-- ARGV: worker, milliseconds of the lease, 1 to be a member or 0 to leave, group.
-- Returns the number of partitions that are the worker's share, and those it owns with tokens.
local members, leases, owners, epoch, changes = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local partitions = #KEYS - 5
local worker, lease, is_member, group = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', ARGV[4]
local has_changed = false

-- The clock of the server, so that those of the workers need not agree.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', leases, now + lease, worker)
local command = is_member and 'SADD' or 'SREM'
if redis.call(command, members, worker) == 1 then has_changed = true end
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now)) do
    redis.call('ZREM', leases, dead)
    redis.call('SREM', members, dead)
    has_changed = true
end

local names = redis.call('SMEMBERS', members)
table.sort(names)
local share = 0
for rank, name in ipairs(names) do
    if name == worker then
        share = math.floor(partitions / #names)
        if rank <= partitions % #names then share = share + 1 end
    end
end

local owned, free = {}, {}
for partition = 0, partitions - 1 do
    local token = redis.call('HGET', owners, partition)
    local owner = token and string.match(token, '^%d+ (.*)$')
    if owner == worker then
        table.insert(owned, {partition, token})
    elseif not owner or not redis.call('ZSCORE', leases, owner) then
        table.insert(free, partition)
    end
end

for _, partition in ipairs(free) do
    if #owned >= share then break end
    -- Grows with each change of owner: who comes back late has a token of the past.
    local token = redis.call('INCR', epoch) .. ' ' .. worker
    redis.call('HSET', owners, partition, token)
    table.insert(owned, {partition, token})
    local messages = KEYS[6 + partition]
    redis.pcall('XGROUP', 'CREATE', messages, group, '0', 'MKSTREAM') -- fails where it exists
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', messages, group)) do
        local name, pending = consumer[2], consumer[4]
        if pending == 0 and name ~= worker then
            redis.call('XGROUP', 'DELCONSUMER', messages, group, name)
        end
    end
end

if has_changed then redis.call('XADD', changes, 'MAXLEN', '~', 100, '*', 'worker', worker) end
return {share, owned}

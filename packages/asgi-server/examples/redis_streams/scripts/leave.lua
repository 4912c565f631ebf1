-- Give up the lease of a worker with all that it owns, and wake the other workers.
--
-- KEYS: members, leases, owners, changes. ARGV: worker.
local members, leases, owners, changes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local worker = ARGV[1]
redis.call('ZREM', leases, worker)
redis.call('SREM', members, worker)
local tokens = redis.call('HGETALL', owners)
for at = 1, #tokens, 2 do
    if string.match(tokens[at + 1], '^%d+ (.*)$') == worker then
        redis.call('HDEL', owners, tokens[at])
    end
end
redis.call('XADD', changes, 'MAXLEN', '~', 100, '*', 'left', worker)

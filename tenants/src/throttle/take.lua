-- One bucket: `Level` of gcra.rs, word for word, by the server's own clock, so that the instances' do not matter.
-- KEYS[1]: the bucket. ARGV: capacity (tokens), refill (tokens per period), period (µs), 1 to take or -1 to give back.
-- Answers whether a token was taken, and the units given out. What is kept is "used at refill".
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local capacity, refill, period = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local used, served = 0, 0

local kept = redis.call('GET', KEYS[1])
if kept then
    local then_used, at, then_refill = string.match(kept, '^(%d+) (%d+) (%d+)$')
    local back = math.max(0, now - at) * then_refill
    used = math.max(0, then_used - back)
end

if tonumber(ARGV[4]) < 0 then
    used = math.max(0, used - period)
elseif used + period <= capacity * period then
    used = used + period
    served = 1
end

if used == 0 then
    redis.call('DEL', KEYS[1])
else
    -- It is forgotten when it is full again, for then a new one is just like it.
    local expiry = math.ceil(used / refill / 1000) + 1
    redis.call('SET', KEYS[1], string.format('%.0f %.0f %.0f', used, now, refill), 'PX', string.format('%.0f', expiry))
end
return {served, used}

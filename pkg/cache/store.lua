-- Stores an entry unless one of a higher version is there, for as long as it may still live: until a moment that the
-- writer gives, so that what was held up on its way is not kept as if it were new, and never longer than a whole life.
-- ARGV: the entry, the highest version that it replaces, the moment and the life, in milliseconds. Anything that is no
-- entry is replaced.
local there = redis.pcall('GET', KEYS[1])
if type(there) == 'string' then
    local version = tonumber(string.match(there, '^tieout1 (%d+) '))
    if version and version > tonumber(ARGV[2]) then return 0 end
end
local now = redis.call('TIME')
local left = math.min(tonumber(ARGV[3]) - (now[1] * 1000 + math.floor(now[2] / 1000)), tonumber(ARGV[4]))
if left <= 0 then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', left)
return 1

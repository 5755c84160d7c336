/**
 * The store's Lua scripts. They run on Redis ≥ 5.0.7 and Upstash; each is one atomic step by Redis' own clock. Whatever
 * they read may have been written by anyone: a value of the wrong type or shape counts as absent.
 *
 * The claims of a stream are a hash: URL → `<lease ends, Unix ms> <rank> <owner>`, and `epoch` → `<epoch> <owner>`.
 * Lowest rank among the live is the owner, the others are standbys in their order; who lets its lease run out returns
 * at the end. Beside it OvenMediaEngine's plain key, written for the owner alone. See docs/decisions/store-keys.md.
 */
import { audienceMs, nodeLeaseMs, storeLimits, streamLeaseMs } from "./keys.ts";

/** How long an epoch outlives the last claim: longer than any pause after which a process still finds its way back. */
export const epochMemoryMs = 60_000;
/** Both node keys go this long after the last record: a cluster that was stopped leaves nothing behind. */
export const nodesMemoryMs = 60_000;
/** Largest number that the scripts take for an epoch, a rank or a time; above it Lua's doubles have gaps. */
export const largestCount = 9e15;

/**
 * A process that took another's place counts as gone again when its lease has no more than this left: it missed three
 * renewals. It may never have been: a first claim can arrive late, after its process has died.
 */
export const missedLeaseMs = 3_000;

const nowMs = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function digits(number) return string.format('%.0f', number) end
`;

/**
 * `claims(key)` → live claims, best first, and the fields to forget; nil when the key holds something else.
 * A lease that ends later than two leases from now was written before the clock was set back: it counts as run out,
 * for else a dead origin would outlive the correction.
 */
const claimsOf = `
local function claims(key)
  local count = redis.pcall('HLEN', key)
  if type(count) ~= 'number' or count > ${4 * storeLimits.originsPerStream} then return nil end
  local flat, live, dead = redis.call('HGETALL', key), {}, {}
  for i = 1, #flat, 2 do
    local url = flat[i]
    if url ~= 'epoch' then
      local ends, rank, owner = string.match(flat[i + 1], '^(%d+) (%d+) (%S+)$')
      ends, rank = tonumber(ends), tonumber(rank)
      if ends and ends > now and ends <= now + ${2 * streamLeaseMs} and rank <= ${largestCount}
        and #url <= ${storeLimits.urlBytes} and string.find(url, '://', 1, true) then
        live[#live + 1] = { url = url, ends = ends, rank = rank, owner = owner }
      else
        dead[#dead + 1] = url
      end
    end
  end
  table.sort(live, function(a, b) return a.rank < b.rank end)
  return live, dead
end
`;

/**
 * `readPlain(key, markKey, vhost)` → value or nil, and whose it is: `none`, `ours` (written by a node of ours for this
 * vhost), `other-vhost` (by a node of ours for another), `foreign` (an OvenMediaEngine origin or a person),
 * `useless` (not a URL: never overwritten, never given out).
 */
const plainOf = `
local function readPlain(key, markKey, vhost)
  local value = redis.pcall('GET', key)
  if value == false then return nil, 'none' end
  if type(value) ~= 'string' or #value > ${storeLimits.urlBytes} or not string.find(value, '://', 1, true) then
    return nil, 'useless'
  end
  local mark = redis.pcall('GET', markKey)
  if type(mark) ~= 'string' or string.sub(mark, -#value - 1) ~= '\\n' .. value then return value, 'foreign' end
  if mark == vhost .. '\\n' .. value then return value, 'ours' end
  return value, 'other-vhost'
end
local function writePlain(key, markKey, vhost, url, leaseMs)
  local unit, count = 'PX', leaseMs
  if leaseMs % 1000 == 0 then unit, count = 'EX', leaseMs / 1000 end
  redis.call('SET', key, url, unit, digits(count))
  redis.call('SET', markKey, vhost .. '\\n' .. url, unit, digits(count))
end
`;

/**
 * Claims a stream or renews the claim. KEYS: origins [, plain, plainMark]; ARGV: url, owner, vhost, highest epoch
 * this process has seen for the stream (0: none).
 *
 * A process that was told an epoch and finds another owner on its own URL was replaced while it slept: it is refused.
 * One that was told none has just started: it takes the place of its predecessor.
 * @returns `["owner", epoch]` or `["standby", url of the owner, epoch]`
 */
export const claimScript = `${nowMs}${claimsOf}${plainOf}
local url, owner, vhost, seen = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local live, dead = claims(KEYS[1])
if not live then
  redis.call('DEL', KEYS[1])
  live, dead = {}, {}
end
for _, field in ipairs(dead) do redis.call('HDEL', KEYS[1], field) end

local mine, last = nil, 0
for _, claim in ipairs(live) do
  if claim.url == url then mine = claim end
  last = math.max(last, claim.rank)
end
local replaced = mine and mine.owner ~= owner and seen > 0 and mine.ends - now > ${missedLeaseMs}
if mine and not replaced then
  mine.owner = owner
  mine.ends = now + ${streamLeaseMs}
elseif not mine and #live < ${storeLimits.originsPerStream} then
  mine = { url = url, owner = owner, rank = math.max(now, last + 1), ends = now + ${streamLeaseMs} }
  live[#live + 1] = mine
end
if mine and not replaced then
  redis.call('HSET', KEYS[1], url, digits(mine.ends) .. ' ' .. digits(mine.rank) .. ' ' .. owner)
end

local head = live[1]
local epoch, holder = string.match(redis.call('HGET', KEYS[1], 'epoch') or '', '^(%d+) (%S+)$')
epoch = tonumber(epoch) or 0
if epoch > ${largestCount} then epoch = 0 end
if holder ~= head.owner or seen > epoch then
  epoch = math.max(epoch, seen, now - 1) + 1
  redis.call('HSET', KEYS[1], 'epoch', digits(epoch) .. ' ' .. head.owner)
end
redis.call('PEXPIRE', KEYS[1], ${epochMemoryMs})

if replaced or head ~= mine then return { 'standby', head.url, digits(epoch) } end
if KEYS[3] then
  local value, whose = readPlain(KEYS[2], KEYS[3], vhost)
  if whose == 'foreign' and value ~= url then return { 'standby', value, digits(epoch) } end
  if whose == 'none' or whose == 'ours' or whose == 'foreign' then
    writePlain(KEYS[2], KEYS[3], vhost, url, ${streamLeaseMs})
  end
end
return { 'owner', digits(epoch) }
`;

/**
 * Gives a claim up, if `owner` holds it, and hands the plain key to the next in rank. KEYS as for the claim;
 * ARGV: url, owner, vhost.
 * @returns 1 when there was something to give up, else 0
 */
export const releaseScript = `${nowMs}${claimsOf}${plainOf}
local url, owner, vhost = ARGV[1], ARGV[2], ARGV[3]
local mark = redis.pcall('HGET', KEYS[1], url)
if type(mark) ~= 'string' or string.match(mark, '^%d+ %d+ (%S+)$') ~= owner then return 0 end
redis.call('HDEL', KEYS[1], url)
if KEYS[3] then
  local value, whose = readPlain(KEYS[2], KEYS[3], vhost)
  if whose == 'ours' and value == url then
    local next = (claims(KEYS[1]) or {})[1]
    if next then
      writePlain(KEYS[2], KEYS[3], vhost, next.url, next.ends - now)
    else
      redis.call('DEL', KEYS[2], KEYS[3])
    end
  end
end
return 1
`;

/**
 * `originUrls(key, plainKey, markKey, vhost)` → URLs, best first: our claims, then what an OvenMediaEngine origin wrote.
 * What we wrote there ourselves says nothing that a live claim does not.
 */
const originUrls = `
local function originUrls(key, plainKey, markKey, vhost)
  local urls, known = {}, {}
  for _, claim in ipairs(claims(key) or {}) do
    urls[#urls + 1] = claim.url
    known[claim.url] = true
  end
  if plainKey then
    local value, whose = readPlain(plainKey, markKey, vhost)
    if whose == 'foreign' and not known[value] then urls[#urls + 1] = value end
  end
  return urls
end
`;

/** Where a stream can be pulled. KEYS: origins [, plain, plainMark]; ARGV: vhost. Writes nothing. @returns URLs, best first */
export const lookupScript = `${nowMs}${claimsOf}${plainOf}${originUrls}
return originUrls(KEYS[1], KEYS[2], KEYS[3], ARGV[1])
`;

/** A source whose time is this far from what was measured last has begun anew. Far more than a network's whims. */
export const epochToleranceMs = 3_000;
/** How long an agreed epoch outlives its last user. */
export const epochAgreementMs = 600_000;

/**
 * Agrees on a source's epoch. KEYS: epoch; ARGV: its timestamp now in ms, the epoch its caller holds or "".
 * @returns the epoch, Unix ms
 */
export const agreeEpochScript = `${nowMs}
local media, held = tonumber(ARGV[1]), tonumber(ARGV[2])
local measured = now - media
local value, epoch, last = redis.pcall('GET', KEYS[1]), nil, nil
if type(value) == 'string' then epoch, last = string.match(value, '^(%d+) (%d+)$') end
epoch, last = tonumber(epoch), tonumber(last)
if not epoch or epoch > ${largestCount} or math.abs(measured - last) > ${epochToleranceMs} then
  epoch = held or math.max(0, measured)
end
redis.call('SET', KEYS[1], digits(epoch) .. ' ' .. digits(math.max(0, measured)), 'PX', ${epochAgreementMs})
return digits(epoch)
`;

/** No stream breaks off so often. What stands there and claims it is no course. */
export const mostBreaks = 2 ** 31;

/**
 * Agrees on how a source has gone on. A key of its own: nodes of earlier versions read the epoch's value as a whole.
 * KEYS: course; ARGV: shape, breaks, 1 where its caller saw every break, began (Unix ms) or "".
 * @returns `[breaks, began or ""]`
 */
export const agreeCourseScript = `${nowMs}
local shape, breaks, began = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local value, known, first, last = redis.pcall('GET', KEYS[1]), nil, nil, nil
if type(value) == 'string' and #value < 128 then known, first, last = string.match(value, '^(%d+) ([%d-]+) (%w+)$') end
known, first = tonumber(known), tonumber(first)
if known and known <= ${mostBreaks} then
  if first and first >= 0 and first <= ${largestCount} then began = math.min(began or first, first) end
  if ARGV[3] ~= '1' and last ~= shape then
    breaks = math.max(breaks, known + 1)
  elseif breaks <= known then
    breaks, shape = known, last
  end
end
local text = began and digits(began) or '-'
redis.call('SET', KEYS[1], digits(breaks) .. ' ' .. text .. ' ' .. shape, 'PX', ${epochAgreementMs})
return { digits(breaks), began and text or '' }
`;

/**
 * Counts viewers. KEYS: the three of a stream, the span's number modulo 3; ARGV: ids of who watches at this node.
 * @returns how many different ones there were in the span before this one
 */
export const countAudienceScript = `${nowMs}
local span = math.floor(now / ${audienceMs})
local present, past = KEYS[span % 3 + 1], KEYS[(span + 2) % 3 + 1]
if #ARGV > 0 then
  local added = redis.pcall('PFADD', present, unpack(ARGV))
  if type(added) ~= 'number' then
    redis.call('DEL', present)
    redis.call('PFADD', present, unpack(ARGV))
  end
  redis.call('PEXPIRE', present, digits((span + 2) * ${audienceMs} - now))
end
local count = redis.pcall('PFCOUNT', past)
return type(count) == 'number' and count or 0
`;

/** Publishes a node record and forgets up to 16 whose lease ran out. KEYS: records, leases; ARGV: id, record. @returns Unix ms, or 0 when there are too many nodes */
export const putNodeScript = `${nowMs}
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' and kind ~= (key == KEYS[1] and 'hash' or 'zset') then redis.call('DEL', key) end
end
local function forget(ids)
  for _, id in ipairs(ids) do
    redis.call('ZREM', KEYS[2], id)
    redis.call('HDEL', KEYS[1], id)
  end
end
forget(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', digits(now), 'LIMIT', 0, 8))
forget(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. digits(now + ${2 * nodeLeaseMs}), '+inf', 'LIMIT', 0, 8))
if redis.call('ZCARD', KEYS[2]) >= ${storeLimits.nodes} and not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], digits(now + ${nodeLeaseMs}), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ${nodesMemoryMs})
redis.call('PEXPIRE', KEYS[2], ${nodesMemoryMs})
return now
`;

/** Forgets a node. KEYS: records, leases; ARGV: id. @returns 1 when it was known, else 0 */
export const dropNodeScript = `
redis.pcall('HDEL', KEYS[1], ARGV[1])
local removed = redis.pcall('ZREM', KEYS[2], ARGV[1])
return type(removed) == 'number' and removed or 0
`;

/**
 * All that a decision needs. KEYS: records, leases [, origins [, plain, plainMark]]; ARGV: vhost. Writes nothing.
 * @returns `[Unix ms, live node records, URLs of the stream's origins, best first]`
 */
export const snapshotScript = `${nowMs}${claimsOf}${plainOf}${originUrls}
local ids = redis.pcall('ZRANGEBYSCORE', KEYS[2], '(' .. digits(now), digits(now + ${2 * nodeLeaseMs}), 'LIMIT', 0, ${storeLimits.nodes})
if ids.err then ids = {} end
local records, bytes = {}, 0
for from = 1, #ids, 100 do
  local some = redis.pcall('HMGET', KEYS[1], unpack(ids, from, math.min(from + 99, #ids)))
  for _, record in ipairs(some.err and {} or some) do
    if record and #record <= ${storeLimits.recordBytes} and bytes + #record <= ${storeLimits.snapshotBytes} then
      records[#records + 1] = record
      bytes = bytes + #record
    end
  end
end
local urls = KEYS[3] and originUrls(KEYS[3], KEYS[4], KEYS[5], ARGV[1]) or {}
return { now, records, urls }
`;

-- One replica reports about one breaker (ARGV[1]) and learns what the fleet has decided. Runs on the Redis server, as a
-- whole and by its clock. The hash KEYS[1] has the state of the fleet, and the last report of each replica under @id.

local key, said = KEYS[1], cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local by_share = said.ratio > 0
local fleet = cjson.decode(redis.call('HGET', key, 'fleet') or '{"version": 0, "open": false, "successes": 0}')

local function become(version, open, due)
  fleet = {version = version, open = open, due = due, successes = 0}
end

-- The reports of those that live. Forgets the others, be it that nothing was heard of them, or that the clock was set back
-- since; what the dead have seen succeed still counts.
local function living()
  local reports = {}
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if all[i] ~= 'fleet' then
      local report = cjson.decode(all[i + 1])
      if math.abs(report.at - now) > said.lifetime then
        redis.call('HDEL', key, all[i])
        if report.version == fleet.version then
          fleet.succeeded_at = math.max(fleet.succeeded_at or 0, report.succeeded_at or 0)
        end
      else
        table.insert(reports, report)
      end
    end
  end
  return reports
end

-- Failures since the last success anywhere, or a share of all calls; from two replicas at least, whose policies count the
-- same way.
local function has_failed()
  local reports, latest = {}, 0
  for _, report in ipairs(living()) do
    if report.version == fleet.version and report.by_share == by_share then
      table.insert(reports, report)
      latest = math.max(latest, report.succeeded_at or 0)
    end
  end
  if fleet.succeeded_at and fleet.succeeded_at <= now then
    latest = math.max(latest, fleet.succeeded_at)
  end
  local total, failures, replicas = 0, 0, 0
  for _, report in ipairs(reports) do
    local failed = report.failed
    for _, at in ipairs(report.failed_at) do
      if at >= latest then failed = failed + 1 end
    end
    total, failures = total + report.total, failures + failed
    if failed > 0 then replicas = replicas + 1 end
  end
  return replicas >= 2 and failures >= said.threshold and total >= said.minimum and failures >= said.ratio * total
end

-- Redis was restarted, or another server took its place: what the replicas know comes back with the first that asks.
if fleet.version < said.version then
  become(said.version, said.open, now + said.due_in)
end

-- The clock was set back: nothing lasts longer than it may.
if fleet.open then
  fleet.due = math.min(fleet.due, now + said.recovery)
  fleet.lease_ends = fleet.lease_ends and math.min(fleet.lease_ends, now + said.lease)
end

local report = {
  at = now,
  version = said.version,
  by_share = by_share,
  succeeded_at = said.succeeded_ago and now - said.succeeded_ago,
  failed_at = {},
  total = said.total,
  failed = said.failed,
}
for _, ago in ipairs(said.failed_ago) do
  table.insert(report.failed_at, now - ago)
end
if redis.call('HSET', key, '@' .. said.id, cjson.encode(report)) == 1 then
  living() -- With each that comes the dead go, so they cannot pile up.
end

if said.version == fleet.version then
  if fleet.open and said.closed then
    become(fleet.version + 1, false)
  elseif fleet.open and said.reopened then
    local lease, ends = fleet.lease, fleet.lease_ends
    become(fleet.version + 1, true, now + said.due_in)
    fleet.unlucky = said.id
    if lease ~= said.id then
      fleet.lease, fleet.lease_ends = lease, ends -- It was said late, and another one tries by now.
    end
  elseif fleet.open then
    fleet.successes = math.max(fleet.successes, said.successes)
  elseif (#report.failed_at > 0 or report.failed > 0) and has_failed() then
    become(fleet.version + 1, true, now + said.recovery)
  end
end

-- The lease. Whoever failed last lets the others go first: it may be itself that is ill.
local leased = false
if fleet.open and now >= fleet.due + (fleet.unlucky == said.id and 1 or 0) then
  if not fleet.lease or fleet.lease_ends < now then
    fleet.lease = said.id
  elseif fleet.lease == said.id then
    if fleet.wanted and not said.busy then
      fleet.lease, fleet.wanted = fleet.wanted, nil
    end
  elseif said.busy and time[2] % 2 == 0 then
    -- It has refused a call that the holder, which has none, could have tried. A coin decides: if the lease always went
    -- where the last call came, calls that come in turn to all replicas would never find it.
    fleet.wanted = said.id
  end
  leased = fleet.lease == said.id
  if leased then
    fleet.lease_ends = now + said.lease
  end
end

redis.call('HSET', key, 'fleet', cjson.encode(fleet))
redis.call('PEXPIRE', key, math.ceil(1000 * said.keep))
return cjson.encode({
  version = fleet.version,
  open = fleet.open,
  due_in = fleet.open and math.max(0, fleet.due - now) or 0,
  leased = leased,
  successes = fleet.successes,
})

-- What wrk has measured, as one line of JSON: latencies and durations are in microseconds.
function done(summary, latency, requests)
   local e = summary.errors
   local errors = e.connect + e.read + e.write + e.status + e.timeout
   io.write(string.format(
      '{"requests": %d, "microseconds": %d, "percentile_99": %d, "errors": %d}\n',
      summary.requests, summary.duration, latency:percentile(99), errors
   ))
end

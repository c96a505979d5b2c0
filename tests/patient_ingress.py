"""The real ingress with a minute for its queue: for tests where a busy machine would use four seconds up by itself."""

from ingress import outbox

outbox.TIME_LIMIT = 60.0
outbox.CLIENT_TIMEOUTS = (20.0, 30.0)

from ingress.__main__ import main  # noqa: E402 - it reads the limits when it is imported

main()

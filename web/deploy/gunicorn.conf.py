"""Behind nginx, which reads requests and writes answers for slow clients.

systemd's socket takes the place of `bind`. WEB_CONCURRENCY sets the number of workers.
"""

import gc
import os

bind = "unix:/run/burn_note/web.sock"
wsgi_app = "project.wsgi"
# settings that are missing stop the start, not the first request
preload_app = True
workers = int(os.environ.get("WEB_CONCURRENCY", 2))
worker_class = "gthread"
threads = 8
# a passphrase waits for its turn to be hashed
timeout = 60
# a heartbeat, never a request; in memory all the same
worker_tmp_dir = "/dev/shm"
# nginx's limits are the only ones: here a refusal would be a page of gunicorn's
limit_request_line = 0
# all that nginx takes in its four buffers of 8 KB (here 0 would not mean "any")
limit_request_field_size = 32768
limit_request_fields = 32768
# nginx logs requests, without what they carry
accesslog = None
errorlog = "-"
control_socket_disable = True


def pre_fork(server, worker):
    """What is there before the first request stays: the collector need not look at it again."""
    gc.freeze()

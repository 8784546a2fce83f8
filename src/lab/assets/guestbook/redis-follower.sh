#!/bin/sh
# The leader by name, or by the address that Kubernetes puts into the environment.
leader=redis-leader
if [ "${GET_HOSTS_FROM:-dns}" = env ]; then leader=$REDIS_LEADER_SERVICE_HOST; fi
exec redis-server --protected-mode no --shutdown-timeout 0 --replicaof "$leader" 6379

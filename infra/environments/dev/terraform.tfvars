# One engineer's own: TF_VAR_name says whose. Cheap, destroyable, asleep at night.

environment         = "dev"
deletion_protection = false

# Containers with public addresses and no ingress: the cheapest way out.
cidr             = "10.30.0.0/16"
nat              = "none"
flow_log_traffic = "REJECT"

database_class  = "db.t4g.micro"
max_connections = 100
pools           = { app = 8, hot = 4, operator = 2, worker = 8 }

api_max_count = 1
gate_slots    = 3
waf           = false
log_days      = 7

# At 19:00 UTC every day.
sleep_at = "cron(0 19 * * ? *)"

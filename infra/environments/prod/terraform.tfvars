# Customers. For fewer than a thousand users: what each switch adds is in infra/README.md.

environment         = "prod"
deletion_protection = true

cidr = "10.50.0.0/16"
nat  = "gateway"

# multi_az, and cache with api_max_count, come with growth.
multi_az      = false
cache         = false
api_max_count = 1

gate_slots   = 10
waf          = true
health_check = true
log_days     = 90

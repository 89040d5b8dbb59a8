# Prod's shape at a smaller size: the same ways in and out, the same walls.

environment         = "staging"
deletion_protection = true

cidr = "10.40.0.0/16"
nat  = "instance"

database_class  = "db.t4g.micro"
max_connections = 100
pools           = { app = 8, hot = 4, operator = 2, worker = 8 }

api_max_count = 1
gate_slots    = 5
waf           = true
log_days      = 30

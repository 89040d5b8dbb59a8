# What checkov supposes beside prod's values: the strictest that the variables take, so that it judges the module and not a
# choice of prices. What environments choose is in their terraform.tfvars, and asserted in dev, staging and prod.
multi_az   = true
log_days   = 400
repository = "acme/ffp"
cache      = true

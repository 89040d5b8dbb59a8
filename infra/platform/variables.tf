# What an environment may choose. Its directory's terraform.tfvars holds the differences; what belongs to an account
# (domain, addresses, repository) may come as TF_VAR_… and has a default or is off.

variable "environment" {
  description = "Which environment this is: dev, staging or prod."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "environment is one of dev, staging, prod."
  }
}

variable "name" {
  description = "Whose dev environment this is; empty elsewhere. Part of every name, so that engineers don't meet."
  type        = string
  default     = ""

  validation {
    condition     = var.name == "" || can(regex("^[a-z][a-z0-9]{1,11}$", var.name))
    error_message = "name is 2 to 12 lower-case letters and digits and begins with a letter, like ann."
  }

  validation {
    # An emulator is its engineer's own already.
    condition     = var.environment == "dev" ? var.name != "" || var.emulated : var.name == ""
    error_message = "dev needs the engineer's name (TF_VAR_name=ann); staging and prod have none, since there is one of each."
  }
}

variable "region" {
  description = "The AWS region of everything but CloudFront's certificate and firewall."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-gov)?-[a-z]+-[1-9]$", var.region))
    error_message = "region is an AWS region, like eu-central-1."
  }
}

variable "emulated" {
  description = "Against a local AWS emulator: leaves out what emulators can't make. Never for a real account."
  type        = bool
  default     = false
}

variable "asleep" {
  description = "Makes the services with no task, as a first apply needs: they can't start before their secrets are filled."
  type        = bool
  default     = false
}

# Network

variable "cidr" {
  description = "The VPC's addresses: a /16 to /20 in private space. Six subnets are cut from it."
  type        = string
  default     = "10.20.0.0/16"

  validation {
    condition = can(cidrhost(var.cidr, 0)) && try(
      tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 20
      && cidrhost(var.cidr, 0) == split("/", var.cidr)[0], false
    )
    error_message = "cidr is an IPv4 network with its prefix, /16 to /20, like 10.20.0.0/16."
  }

  validation {
    condition     = can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)", var.cidr))
    error_message = "cidr is private address space (RFC 1918): in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16."
  }
}

variable "nat" {
  description = "How containers reach the internet: gateway, instance (a tenth of the price, one machine), or none (public addresses, no ingress)."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["gateway", "instance", "none"], var.nat)
    error_message = "nat is one of gateway, instance, none."
  }

  validation {
    condition     = var.environment != "dev" || var.nat != "gateway"
    error_message = "dev has no NAT gateway, which alone costs more than dev may: take none or instance."
  }

  validation {
    condition     = var.environment != "prod" || var.nat != "none"
    error_message = "prod's containers have no public address: take gateway or instance."
  }
}

variable "nat_in_each_zone" {
  description = "A NAT in each zone instead of one for both, so that losing a zone costs nobody the internet."
  type        = bool
  default     = false

  validation {
    condition     = !var.nat_in_each_zone || var.nat != "none"
    error_message = "nat_in_each_zone needs a NAT: take nat = gateway or instance, or leave it out."
  }
}

variable "flow_log_traffic" {
  description = "Which traffic the flow logs hold: ALL, ACCEPT or REJECT."
  type        = string
  default     = "ALL"

  validation {
    condition     = contains(["ALL", "ACCEPT", "REJECT"], var.flow_log_traffic)
    error_message = "flow_log_traffic is one of ALL, ACCEPT, REJECT."
  }
}

# Database

variable "database_class" {
  description = "The RDS instance class, on Graviton."
  type        = string
  default     = "db.t4g.small"

  validation {
    condition     = can(regex("^db\\.(t4g|m[678]g|r[678]g)d?\\.[a-z0-9]+$", var.database_class))
    error_message = "database_class is a Graviton class, like db.t4g.small or db.m7g.large."
  }

  validation {
    condition     = var.environment != "dev" || can(regex("^db\\.t4g\\.(micro|small|medium)$", var.database_class))
    error_message = "dev takes db.t4g.micro, db.t4g.small or db.t4g.medium: the larger ones are prod's."
  }
}

variable "database_version" {
  description = "PostgreSQL's major version; minor ones come by themselves."
  type        = string
  default     = "17"

  validation {
    condition     = contains(["15", "16", "17"], var.database_version)
    error_message = "database_version is 15, 16 or 17: row security needs views with security_invoker, which 15 brought."
  }
}

variable "database_storage_gb" {
  description = "Storage at first, in GB, and the most to which it grows by itself."
  type        = object({ first = number, most = number })
  default     = { first = 50, most = 200 }

  validation {
    condition     = var.database_storage_gb.first >= 20 && var.database_storage_gb.most >= var.database_storage_gb.first * 1.1
    error_message = "database_storage_gb has first >= 20 and most at least a tenth above it, as RDS asks."
  }
}

variable "multi_az" {
  description = "A standby of the database in the second zone; doubles its price."
  type        = bool
  default     = false

  validation {
    condition     = var.environment != "dev" || !var.multi_az
    error_message = "multi_az is for staging and prod: dev has no standby."
  }
}

variable "backup_days" {
  description = "Days for which the database can be restored to any second."
  type        = number
  default     = 7

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 35 && floor(var.backup_days) == var.backup_days
    error_message = "backup_days is a whole number from 7 to 35."
  }
}

variable "max_connections" {
  description = "PostgreSQL's max_connections; the memory of the class bounds it (about 100 per GB)."
  type        = number
  default     = 200

  validation {
    condition     = var.max_connections >= 50 && var.max_connections <= 5000 && floor(var.max_connections) == var.max_connections
    error_message = "max_connections is a whole number from 50 to 5000."
  }
}

variable "pools" {
  description = "Connections of the pools of one process: requests, hot reads, operators, jobs."
  type        = object({ app = number, hot = number, operator = number, worker = number })
  default     = { app = 16, hot = 8, operator = 4, worker = 8 }

  validation {
    condition = alltrue([for size in [var.pools.app, var.pools.hot, var.pools.worker] : size >= 2 && size <= 500 && floor(size) == size]
    ) && var.pools.operator >= 1 && var.pools.operator <= 100 && floor(var.pools.operator) == var.pools.operator
    error_message = "pools are whole numbers: app, hot and worker from 2 to 500, operator from 1 to 100, as the platform takes them."
  }
}

variable "slow_query_ms" {
  description = "Statements that take longer, in milliseconds, are logged."
  type        = number
  default     = 500

  validation {
    condition     = var.slow_query_ms >= 1 && var.slow_query_ms <= 60000 && floor(var.slow_query_ms) == var.slow_query_ms
    error_message = "slow_query_ms is a whole number from 1 to 60000: 0 logs every statement, and with it the members' data."
  }
}

variable "deletion_protection" {
  description = "Keeps database and user pools from being deleted, by Terraform or anybody else, until it is turned off."
  type        = bool
  default     = false

  validation {
    condition     = var.environment != "prod" || var.deletion_protection
    error_message = "prod has deletion_protection = true."
  }

  validation {
    condition     = var.environment != "dev" || !var.deletion_protection
    error_message = "dev has deletion_protection = false, so that its engineer can tear it down."
  }
}

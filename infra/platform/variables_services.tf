# What an environment may choose about containers, their limits, and who can reach them.

variable "image" {
  description = "The platform's image, by tag or digest; none takes the account's own repository ffp at image_tag."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("^[a-z0-9.:/_-]+(:[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})$", var.image))
    error_message = "image is a repository with a tag or a digest, like 123456789012.dkr.ecr.eu-central-1.amazonaws.com/ffp:1.4.0."
  }
}

variable "image_tag" {
  description = "The tag in the account's own repository."
  type        = string
  default     = "first"

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "image_tag is a tag that is never moved, like a commit's hash; latest is none."
  }
}

variable "api_size" {
  description = "CPU units (1024 are one vCPU) and MiB of memory of one api task."
  type        = object({ cpu = number, memory = number })
  default     = { cpu = 256, memory = 512 }

  validation {
    condition = (contains([256, 512, 1024, 2048, 4096], var.api_size.cpu)
      && var.api_size.memory >= var.api_size.cpu * 2 && var.api_size.memory <= min(var.api_size.cpu * 8, 30720)
    && (var.api_size.memory == 512 || var.api_size.memory % 1024 == 0))
    error_message = "api_size is what Fargate offers: cpu 256, 512, 1024, 2048 or 4096, and 2 to 8 times as many MiB, in whole GiB up to 30 (or 512 MiB)."
  }
}

variable "worker_size" {
  description = "CPU units and MiB of memory of one worker task."
  type        = object({ cpu = number, memory = number })
  default     = { cpu = 256, memory = 512 }

  validation {
    condition = (contains([256, 512, 1024, 2048, 4096], var.worker_size.cpu)
      && var.worker_size.memory >= var.worker_size.cpu * 2 && var.worker_size.memory <= min(var.worker_size.cpu * 8, 30720)
    && (var.worker_size.memory == 512 || var.worker_size.memory % 1024 == 0))
    error_message = "worker_size is what Fargate offers: cpu 256, 512, 1024, 2048 or 4096, and 2 to 8 times as many MiB, in whole GiB up to 30 (or 512 MiB)."
  }
}

variable "api_min_count" {
  description = "Api tasks that always run."
  type        = number
  default     = 1

  validation {
    condition     = var.api_min_count >= 1 && floor(var.api_min_count) == var.api_min_count
    error_message = "api_min_count is a whole number, 1 at least."
  }
}

variable "api_max_count" {
  description = "Api tasks that autoscaling may start; more than one need the cache, in which they count a tenant's requests together."
  type        = number
  default     = 1

  validation {
    condition     = var.api_max_count >= var.api_min_count && var.api_max_count <= 50 && floor(var.api_max_count) == var.api_max_count
    error_message = "api_max_count is a whole number from api_min_count to 50."
  }

  validation {
    condition     = var.api_max_count == 1 || var.cache
    error_message = "api_max_count > 1 needs cache = true: without it each instance would serve only its share of a tenant's throttle."
  }

  validation {
    condition     = var.environment != "dev" || var.api_max_count == 1
    error_message = "dev has one api task: api_max_count = 1."
  }
}

variable "api_requests_per_task" {
  description = "Requests per minute and task at which autoscaling adds a task."
  type        = number
  default     = 3000

  validation {
    condition     = var.api_requests_per_task >= 60
    error_message = "api_requests_per_task is 60 at least."
  }
}

variable "worker_count" {
  description = "Worker tasks."
  type        = number
  default     = 1

  validation {
    condition     = var.worker_count >= 1 && var.worker_count <= 20 && floor(var.worker_count) == var.worker_count
    error_message = "worker_count is a whole number from 1 to 20."
  }
}

variable "gate_slots" {
  description = "Pieces of expensive work in flight at once, over all tenants: dev 3, staging 5, prod 10."
  type        = number

  validation {
    condition = var.gate_slots >= 1 && floor(var.gate_slots) == var.gate_slots && var.gate_slots <= lookup(
    { dev = 3, staging = 5, prod = 10 }, var.environment, 0)
    error_message = "gate_slots is a whole number from 1 to what the environment may: dev 3, staging 5, prod 10."
  }
}

variable "cache" {
  description = "Valkey, in which several api tasks count together."
  type        = bool
  default     = false
}

variable "cache_class" {
  description = "The node type of the cache, on Graviton."
  type        = string
  default     = "cache.t4g.micro"

  validation {
    condition     = can(regex("^cache\\.(t4g|m[67]g|r[67]g)\\.[a-z0-9]+$", var.cache_class))
    error_message = "cache_class is a Graviton node type, like cache.t4g.micro."
  }
}

variable "api_throttle" {
  description = "Requests per second over all clients, and the burst above, that the HTTP API passes on: far more than all tenants together are promised, since who is refused here is not who asks too much. A tenant's own throttle is the platform's."
  type        = object({ rate = number, burst = number })
  default     = { rate = 2000, burst = 4000 }

  validation {
    condition     = var.api_throttle.rate >= 1 && var.api_throttle.burst >= var.api_throttle.rate && var.api_throttle.rate <= 10000
    error_message = "api_throttle has a rate from 1 to 10000 per second, and a burst that is no smaller."
  }
}

variable "sleep_at" {
  description = "When dev is put to sleep, as a schedule in UTC like cron(0 19 * * ? *): AWS starts a stopped database again after seven days. Null never does it."
  type        = string
  default     = null

  validation {
    condition     = var.sleep_at == null || can(regex("^(cron|rate)\\(.+\\)$", var.sleep_at))
    error_message = "sleep_at is a schedule, like cron(0 19 * * ? *)."
  }

  validation {
    condition     = var.sleep_at == null || var.environment == "dev"
    error_message = "sleep_at is for dev: nobody else's database is stopped."
  }
}

variable "log_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400], var.log_days)
    error_message = "log_days is one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400."
  }
}

variable "health_check" {
  description = "Somebody looks from three continents, every 30 s, whether the site answers. Without a domain there is nothing to look at, and nobody does."
  type        = bool
  default     = false
}

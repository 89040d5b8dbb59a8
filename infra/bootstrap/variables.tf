variable "region" {
  description = "Where the account's own things are: that of the state in every backend.tf."
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

variable "parent_domain" {
  description = "The domain under which environments have theirs, like example.com. None: no zone."
  type        = string
  default     = null

  validation {
    condition     = var.parent_domain == null || can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", var.parent_domain))
    error_message = "parent_domain is a domain in lower case without scheme, path or dot at the end, like example.com."
  }
}

variable "budget_usd" {
  description = "What the account may cost in a month, in US dollars."
  type        = number
  default     = 250

  validation {
    condition     = var.budget_usd >= 1
    error_message = "budget_usd is 1 at least."
  }
}

variable "budget_emails" {
  description = "Addresses that hear when 80 % are spent, or more than all of it is to be expected. None: nobody."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.budget_emails : can(regex("^[^@ ]+@[^@ ]+\\.[a-z]{2,63}$", address))])
    error_message = "budget_emails is a list of mail addresses, like [\"owner@example.com\"]."
  }
}

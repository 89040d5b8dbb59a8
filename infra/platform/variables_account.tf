# What belongs to an account: each has a default or is off, so that every environment plans without questions.

variable "domain" {
  description = "The site's own domain, like app.example.com. None: the distribution's cloudfront.net name."
  type        = string
  default     = null

  validation {
    condition     = var.domain == null || can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", var.domain))
    error_message = "domain is a host name in lower case without scheme, path or dot at the end, like app.example.com."
  }
}

variable "parent_zone_id" {
  description = "The hosted zone above the domain (an output of bootstrap), in which it is delegated. None: whoever runs it does that by hand."
  type        = string
  default     = null

  validation {
    condition     = var.parent_zone_id == null || can(regex("^Z[A-Z0-9]{1,31}$", var.parent_zone_id))
    error_message = "parent_zone_id is the id of a Route 53 zone, like Z0123456789ABCDEFGHIJ."
  }

  validation {
    condition     = var.parent_zone_id == null || var.domain != null
    error_message = "parent_zone_id without a domain delegates nothing: set domain too."
  }
}

variable "mail_from" {
  description = "The sender of mail. None: no-reply at the domain."
  type        = string
  default     = null

  validation {
    condition     = var.mail_from == null || can(regex("^([^<>@\"]+ <)?[A-Za-z0-9._%+-]+@[a-z0-9.-]+\\.[a-z]{2,63}>?$", var.mail_from))
    error_message = "mail_from is an address or a name with one, like FFP <no-reply@example.com>."
  }

  validation {
    condition = var.mail_from == null || var.domain == null || try(
    endswith(trimsuffix(var.mail_from, ">"), "@${var.domain}"), false)
    error_message = "mail_from is an address at the domain, which is what SES verifies."
  }
}

variable "alarm_emails" {
  description = "Addresses that hear of alarms; each must confirm a mail from SNS."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+\\.[a-z]{2,63}$", address))])
    error_message = "alarm_emails is a list of mail addresses, like [\"oncall@example.com\"]."
  }
}

variable "repository" {
  description = "The GitHub repository whose workflow may apply this environment, as owner/name. None: no role for it."
  type        = string
  default     = null

  validation {
    condition     = var.repository == null || can(regex("^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository is owner/name on GitHub, without wildcards."
  }
}

variable "state_bucket" {
  description = "The bucket of Terraform's state (an output of bootstrap), which the workflow's role may use. None: ffp-state- and the account."
  type        = string
  default     = null

  validation {
    condition     = var.state_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.state_bucket))
    error_message = "state_bucket is the name of an S3 bucket."
  }
}

variable "cors_origins" {
  description = "Other origins whose pages may call the API."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for origin in var.cors_origins : can(regex("^https://[a-z0-9.-]+(:[0-9]+)?$", origin))])
    error_message = "cors_origins are https origins without path or wildcard, like https://partner.example.com."
  }
}

variable "signing_public_keys" {
  description = "Public keys that open videos and photos, PEM by a name of ours; two during a rotation. scripts/secrets prints them. None: nothing opens them."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(var.signing_public_keys) <= 2
    error_message = "signing_public_keys has two keys at most: the one in use, and the next or the last one."
  }

  validation {
    condition = alltrue([for name, pem in var.signing_public_keys :
    can(regex("^[a-z0-9-]{1,32}$", name)) && startswith(trimspace(pem), "-----BEGIN PUBLIC KEY-----")])
    error_message = "signing_public_keys maps names like k1 to public keys in PEM (-----BEGIN PUBLIC KEY-----); private keys stay in Secrets Manager."
  }
}

variable "google_client_id" {
  description = "Google's client id, which lets members sign in with Google. None: they can't. Its secret is filled by scripts/secrets."
  type        = string
  default     = null

  validation {
    condition     = var.google_client_id == null || can(regex("^[0-9]+-[a-z0-9]+\\.apps\\.googleusercontent\\.com$", var.google_client_id))
    error_message = "google_client_id ends with .apps.googleusercontent.com."
  }

  validation {
    condition     = var.google_client_id == null || var.domain != null
    error_message = "google_client_id needs a domain, to which Google sends members back."
  }
}

variable "waf" {
  description = "The firewall in front of the distribution."
  type        = bool
  default     = false
}

variable "waf_requests_per_5_minutes" {
  description = "Requests from one address in five minutes before the firewall refuses it: twice a tenant's throttle, since a whole gym may share one address."
  type        = number
  default     = 10000

  validation {
    condition     = var.waf_requests_per_5_minutes >= 100 && var.waf_requests_per_5_minutes <= 2000000
    error_message = "waf_requests_per_5_minutes is from 100 to 2000000."
  }
}

variable "otlp_endpoint" {
  description = "Where traces go, by https at port 443. None: they are not made."
  type        = string
  default     = null

  validation {
    condition     = var.otlp_endpoint == null || can(regex("^https://[a-z0-9.-]+(/.*)?$", var.otlp_endpoint))
    error_message = "otlp_endpoint is an https address at port 443, which alone is open to the outside, like https://collector.example.com."
  }
}

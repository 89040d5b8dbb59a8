# SES: the domain from which the platform and Cognito send, and what becomes of what they sent. Without a domain there is
# one verified address, or none, and Cognito sends its codes itself.

locals {
  mail_from    = var.mail_from != null ? var.mail_from : "FFP <no-reply@${coalesce(var.domain, "ffp.example")}>"
  mail_address = regex("[^<> ]+@[^<> ]+", local.mail_from)

  # An address alone is verified by whoever answers its mail.
  has_address     = !local.has_domain && var.mail_from != null
  mail_identities = concat(aws_ses_domain_identity.this[*].arn, aws_ses_email_identity.this[*].arn)

  # SES has three names for as many keys; static, since a plan does not know the tokens.
  dkim = local.has_domain ? toset(["0", "1", "2"]) : toset([])
}

resource "aws_ses_domain_identity" "this" {
  count = local.has_domain ? 1 : 0

  domain = var.domain
}

resource "aws_ses_domain_dkim" "this" {
  count = local.has_domain ? 1 : 0

  domain = aws_ses_domain_identity.this[0].domain
}

resource "aws_route53_record" "mail_identity" {
  count = local.has_domain ? 1 : 0

  zone_id = aws_route53_zone.this[0].zone_id
  name    = "_amazonses.${var.domain}"
  type    = "TXT"
  ttl     = 3600
  records = [aws_ses_domain_identity.this[0].verification_token]
}

# Cognito takes no sender that is not verified, so the members' pool waits for this. Emulators verify nothing.
resource "aws_ses_domain_identity_verification" "this" {
  count = local.has_domain && !var.emulated ? 1 : 0

  domain     = aws_ses_domain_identity.this[0].domain
  depends_on = [aws_route53_record.mail_identity, aws_route53_record.dkim, aws_route53_record.delegation]
}

resource "aws_ses_email_identity" "this" {
  count = local.has_address ? 1 : 0

  email = local.mail_address
}

resource "aws_route53_record" "dkim" {
  for_each = local.dkim

  zone_id = aws_route53_zone.this[0].zone_id
  name    = "${aws_ses_domain_dkim.this[0].dkim_tokens[tonumber(each.key)]}._domainkey.${var.domain}"
  type    = "CNAME"
  ttl     = 3600
  records = ["${aws_ses_domain_dkim.this[0].dkim_tokens[tonumber(each.key)]}.dkim.amazonses.com"]
}

# Bounces come back to a name of ours, so that SPF agrees with the sender.
resource "aws_ses_domain_mail_from" "this" {
  count = local.has_domain ? 1 : 0

  domain                 = aws_ses_domain_identity.this[0].domain
  mail_from_domain       = "bounce.${var.domain}"
  behavior_on_mx_failure = "UseDefaultValue"
}

resource "aws_route53_record" "mail" {
  for_each = local.has_domain ? {
    mx    = { name = "bounce.${var.domain}", type = "MX", value = "10 feedback-smtp.${var.region}.amazonses.com" }
    spf   = { name = "bounce.${var.domain}", type = "TXT", value = "v=spf1 include:amazonses.com -all" }
    dmarc = { name = "_dmarc.${var.domain}", type = "TXT", value = "v=DMARC1; p=quarantine; adkim=s; aspf=r" }
  } : {}

  zone_id = aws_route53_zone.this[0].zone_id
  name    = each.value.name
  type    = each.value.type
  ttl     = 3600
  records = [each.value.value]
}

# What Cognito sends goes by TLS or not at all, and not again to who bounced or complained.
resource "aws_sesv2_configuration_set" "this" {
  count = local.has_domain && !var.emulated ? 1 : 0

  configuration_set_name = local.name

  delivery_options {
    tls_policy = "REQUIRE"
  }

  reputation_options {
    reputation_metrics_enabled = true
  }

  suppression_options {
    suppressed_reasons = ["BOUNCE", "COMPLAINT"]
  }
}

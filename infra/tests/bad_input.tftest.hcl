# What is refused, and by which variable: with environments/prod/terraform.tfvars.

mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks/platform"
}

mock_provider "aws" {
  alias           = "us_east_1"
  override_during = plan
  source          = "./tests/mocks/platform"
}

# Each is refused before anything is planned, and says what is expected.
run "a_wrong_environment" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    environment = "production"
  }

  expect_failures = [var.environment]
}

run "values_that_are_none" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    region                     = "Frankfurt"
    cidr                       = "10.0.0.1/16"
    nat                        = "gatway"
    flow_log_traffic           = "NONE"
    database_class             = "db.t3.small"
    database_version           = "14"
    database_storage_gb        = { first = 50, most = 50 }
    backup_days                = 1
    max_connections            = 10
    pools                      = { app = 1, hot = 8, operator = 4, worker = 8 }
    slow_query_ms              = 0
    image                      = "platform"
    image_tag                  = "latest"
    api_size                   = { cpu = 300, memory = 512 }
    worker_size                = { cpu = 256, memory = 128 }
    api_min_count              = 0
    worker_count               = 0
    gate_slots                 = 11
    cache_class                = "cache.t3.micro"
    api_throttle               = { rate = 100, burst = 10 }
    sleep_at                   = "at night"
    log_days                   = 8
    waf_requests_per_5_minutes = 1
    parent_zone_id             = "example.com"
    mail_from                  = "nobody"
    alarm_emails               = ["oncall"]
    repository                 = "acme/*"
    state_bucket               = "State"
    cors_origins               = ["*"]
    signing_public_keys        = { k1 = "-----BEGIN PRIVATE KEY-----" }
    google_client_id           = "123"
    otlp_endpoint              = "http://collector:4318"
  }

  expect_failures = [var.region, var.cidr, var.nat, var.flow_log_traffic, var.database_class, var.database_version, var.database_storage_gb, var.backup_days, var.max_connections, var.pools, var.slow_query_ms, var.image, var.image_tag, var.api_size, var.worker_size, var.api_min_count, var.worker_count, var.gate_slots, var.cache_class, var.api_throttle, var.sleep_at, var.log_days, var.waf_requests_per_5_minutes, var.parent_zone_id, var.mail_from, var.alarm_emails, var.repository, var.state_bucket, var.cors_origins, var.signing_public_keys, var.google_client_id, var.otlp_endpoint]
}

# A NAT in each zone of none; 1.5 GiB, and a GiB more than Fargate has.
run "sizes_that_aws_has_not" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    environment      = "staging"
    gate_slots       = 5
    nat              = "none"
    nat_in_each_zone = true
    api_size         = { cpu = 256, memory = 1536 }
    worker_size      = { cpu = 4096, memory = 31744 }
  }

  expect_failures = [var.nat_in_each_zone, var.api_size, var.worker_size]
}

# Public addresses, mail of another domain, several api tasks without the cache, three keys, and values of dev in prod.
run "values_that_do_not_go_together" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    cidr                = "8.8.0.0/16"
    domain              = "app.example.com"
    mail_from           = "no-reply@example.org"
    api_max_count       = 2
    signing_public_keys = { k1 = "-----BEGIN PUBLIC KEY-----", k2 = "-----BEGIN PUBLIC KEY-----", k3 = "-----BEGIN PUBLIC KEY-----" }
    name                = "ann"
    nat                 = "none"
    deletion_protection = false
    sleep_at            = "cron(0 19 * * ? *)"
  }

  expect_failures = [var.cidr, var.mail_from, var.api_max_count, var.signing_public_keys, var.name, var.nat, var.deletion_protection, var.sleep_at]
}

run "values_of_prod_in_dev" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    environment         = "dev"
    name                = "ann"
    domain              = "https://app.example.com/"
    deletion_protection = true
    multi_az            = true
    nat                 = "gateway"
    database_class      = "db.r7g.large"
    cache               = true
    api_max_count       = 4
    gate_slots          = 10
  }

  expect_failures = [var.domain, var.deletion_protection, var.multi_az, var.nat, var.database_class, var.api_max_count, var.gate_slots]
}

# dev without a name; a zone and Google without a domain.
run "what_is_missing" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    environment         = "dev"
    deletion_protection = false
    nat                 = "none"
    gate_slots          = 3
    parent_zone_id      = "Z0123456789ABCDEFGHIJ"
    google_client_id    = "123-abc.apps.googleusercontent.com"
  }

  expect_failures = [var.name, var.parent_zone_id, var.google_client_id]
}

# 300 connections in 2 GB.
run "more_connections_than_memory" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    max_connections = 300
  }

  expect_failures = [aws_db_instance.this]
}

# Three api tasks and a worker open 226 connections while they are deployed; 80 % of 200 are 160.
run "more_connections_than_80_percent" {
  command = plan

  module {
    source = "./platform"
  }

  variables {
    cache         = true
    api_max_count = 3
  }

  expect_failures = [aws_db_instance.this]
}

# The figures of staging: with environments/staging/terraform.tfvars.

mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks/platform"
}

mock_provider "aws" {
  alias           = "us_east_1"
  override_during = plan
  source          = "./tests/mocks/platform"
}

run "staging" {
  command = plan

  module {
    source = "./platform"
  }

  assert {
    condition     = local.name == "ffp-staging" && length(terraform_data.customers_data) == 1 && aws_db_instance.this.deletion_protection
    error_message = "staging is kept: nothing in it is destroyed by a plan."
  }

  assert {
    condition = (length(aws_instance.nat) == 1 && aws_instance.nat["0"].instance_type == "t4g.nano" && !aws_instance.nat["0"].source_dest_check
    && length(aws_nat_gateway.this) == 0 && alltrue([for r in aws_route.nat : r.network_interface_id == aws_instance.nat["0"].primary_network_interface_id]))
    error_message = "staging's NAT is one small instance, through which both zones go."
  }

  assert {
    condition     = aws_instance.nat["0"].metadata_options[0].http_tokens == "required" && aws_instance.nat["0"].root_block_device[0].encrypted
    error_message = "The NAT instance gives its metadata to nobody who just asks, and its disk is encrypted."
  }

  assert {
    condition = { for name, r in aws_vpc_security_group_ingress_rule.nat : name => [r.security_group_id, r.referenced_security_group_id, r.ip_protocol, r.from_port, r.to_port] } == {
      api    = ["sg-nat", "sg-api", "tcp", 443, 443]
      worker = ["sg-nat", "sg-worker", "tcp", 443, 443]
    }
    error_message = "The NAT instance takes https of containers, and nothing else."
  }

  assert {
    condition = (!aws_ecs_service.api.network_configuration[0].assign_public_ip && toset(aws_ecs_service.api.network_configuration[0].subnets) == toset(local.private_subnets)
    && !aws_ecs_service.worker.network_configuration[0].assign_public_ip && toset(aws_ecs_service.worker.network_configuration[0].subnets) == toset(local.private_subnets))
    error_message = "Containers are in private subnets without public addresses, as in prod."
  }

  assert {
    condition     = aws_db_instance.this.instance_class == "db.t4g.micro" && aws_db_instance.this.allocated_storage == 50 && !aws_db_instance.this.multi_az
    error_message = "staging's database is the smallest, without a standby."
  }

  assert {
    condition     = { for e in jsondecode(aws_ecs_task_definition.this["worker"].container_definitions)[0].environment : e.name => e.value }["FFP_GATE_SLOTS"] == "5"
    error_message = "staging has 5 pieces of expensive work in flight."
  }

  assert {
    condition     = length(aws_wafv2_web_acl.this) == 1 && aws_cloudfront_distribution.site.web_acl_id == aws_wafv2_web_acl.this[0].arn
    error_message = "staging has prod's firewall."
  }

  assert {
    condition     = length(aws_scheduler_schedule.sleep) == 0
    error_message = "staging does not sleep."
  }
}

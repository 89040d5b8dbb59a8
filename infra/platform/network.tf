# The VPC over two zones: public subnets, private ones for containers, and isolated ones, without a way out, for the
# database and the cache. Security groups are in network_groups.tf.

locals {
  # Cut from the VPC: 16 parts of which six are used, public ones first.
  subnets = merge([for index, zone in local.zones : {
    "public-${index}"   = { zone = zone, kind = "public", cidr = cidrsubnet(var.cidr, 4, index), index = index }
    "private-${index}"  = { zone = zone, kind = "private", cidr = cidrsubnet(var.cidr, 4, 4 + index), index = index }
    "isolated-${index}" = { zone = zone, kind = "isolated", cidr = cidrsubnet(var.cidr, 4, 8 + index), index = index }
  }]...)

  public_subnets   = [for index in [0, 1] : aws_subnet.this["public-${index}"].id]
  private_subnets  = [for index in [0, 1] : aws_subnet.this["private-${index}"].id]
  isolated_subnets = [for index in [0, 1] : aws_subnet.this["isolated-${index}"].id]

  # Without NAT a container needs a public address to reach AWS; its security group lets nobody in all the same.
  has_public_tasks = var.nat == "none"
  task_subnets     = local.has_public_tasks ? local.public_subnets : local.private_subnets

  # Which NATs there are, by the index of their zone.
  nats     = var.nat == "none" ? [] : var.nat_in_each_zone ? ["0", "1"] : ["0"]
  gateways = toset(var.nat == "gateway" ? local.nats : [])
  machines = toset(var.nat == "instance" ? local.nats : [])
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = local.name }
}

resource "aws_subnet" "this" {
  for_each = local.subnets

  vpc_id            = aws_vpc.this.id
  availability_zone = each.value.zone
  cidr_block        = each.value.cidr
  # Who needs a public address asks for it: nothing gets one by lying here.
  map_public_ip_on_launch = false
  tags                    = { Name = "${local.name}-${each.key}" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = local.name }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${local.name}-public" }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

# One for each zone, so that each can have a NAT of its own.
resource "aws_route_table" "private" {
  count = 2

  vpc_id = aws_vpc.this.id
  tags   = { Name = "${local.name}-private-${count.index}" }
}

# No route leaves: what holds the data can't reach the internet, nor be reached.
resource "aws_route_table" "isolated" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${local.name}-isolated" }
}

resource "aws_route_table_association" "this" {
  for_each = local.subnets

  subnet_id = aws_subnet.this[each.key].id
  route_table_id = {
    public   = aws_route_table.public.id
    private  = aws_route_table.private[each.value.index].id
    isolated = aws_route_table.isolated.id
  }[each.value.kind]
}

resource "aws_eip" "nat" {
  for_each = local.gateways

  domain = "vpc"
  tags   = { Name = "${local.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "this" {
  for_each = local.gateways

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = local.public_subnets[tonumber(each.key)]
  tags          = { Name = "${local.name}-${each.key}" }

  depends_on = [aws_internet_gateway.this]
}

# Amazon Linux as a router: a tenth of a gateway's price, and of its throughput and patience.
data "aws_ssm_parameter" "linux" {
  count = length(local.machines) > 0 ? 1 : 0

  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
}

resource "aws_instance" "nat" {
  for_each = local.machines

  ami                         = data.aws_ssm_parameter.linux[0].insecure_value
  instance_type               = "t4g.nano"
  subnet_id                   = local.public_subnets[tonumber(each.key)]
  vpc_security_group_ids      = [aws_security_group.nat[0].id]
  associate_public_ip_address = true
  source_dest_check           = false
  ebs_optimized               = true
  user_data                   = file("${path.module}/nat.sh")
  tags                        = { Name = "${local.name}-nat-${each.key}" }

  metadata_options {
    http_tokens = "required"
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = 8
    encrypted   = true
  }

  # It fetches its packages once, when it first starts, so there must be a way out by then.
  depends_on = [aws_route.internet, aws_route_table_association.this, aws_vpc_security_group_egress_rule.nat]

  lifecycle {
    # A newer image would replace the router at any apply; `-replace` does it when it suits.
    ignore_changes = [ami, user_data]
  }
}

resource "aws_route" "nat" {
  count = length(local.nats) > 0 ? 2 : 0

  route_table_id         = aws_route_table.private[count.index].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = var.nat == "gateway" ? aws_nat_gateway.this[var.nat_in_each_zone ? tostring(count.index) : "0"].id : null
  network_interface_id   = var.nat == "instance" ? aws_instance.nat[var.nat_in_each_zone ? tostring(count.index) : "0"].primary_network_interface_id : null
}

# Objects in S3 don't pay for NAT, nor leave Amazon's network.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = concat([aws_route_table.public.id], aws_route_table.private[*].id)
  tags              = { Name = "${local.name}-s3" }
}

resource "aws_flow_log" "this" {
  vpc_id          = aws_vpc.this.id
  traffic_type    = var.flow_log_traffic
  log_destination = aws_cloudwatch_log_group.flow.arn
  iam_role_arn    = aws_iam_role.flow.arn
  tags            = { Name = local.name }
}

resource "aws_cloudwatch_log_group" "flow" {
  name              = "/ffp/${local.suffix}/flow"
  retention_in_days = var.log_days
  kms_key_id        = aws_kms_key.data.arn
  depends_on        = [aws_kms_key_policy.data]
}

resource "aws_iam_role" "flow" {
  name                 = "${local.name}-flow"
  permissions_boundary = aws_iam_policy.boundary.arn
  assume_role_policy   = data.aws_iam_policy_document.assume["vpc-flow-logs"].json
}

resource "aws_iam_role_policy" "flow" {
  name   = "write"
  role   = aws_iam_role.flow.id
  policy = data.aws_iam_policy_document.flow.json
}

data "aws_iam_policy_document" "flow" {
  statement {
    sid       = "Write"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    resources = ["${aws_cloudwatch_log_group.flow.arn}:*"]
  }

  # AWS asks for it as well, and it is of no one group.
  statement {
    sid       = "Look"
    actions   = ["logs:DescribeLogGroups"]
    resources = ["arn:${local.aws}:logs:${var.region}:${local.account}:log-group:*"]
  }
}

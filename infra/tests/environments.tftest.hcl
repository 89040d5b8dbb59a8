# The directories of environments: that they hand their values on, and refuse another directory's. With
# environments/prod/terraform.tfvars.

mock_provider "aws" {
  override_during = plan
  source          = "./tests/mocks/environments"
}

mock_provider "aws" {
  alias           = "us_east_1"
  override_during = plan
  source          = "./tests/mocks/environments"
}

# Every variable reaches the module: what is misspelt here or there would silently be the default.
run "values_reach_the_module" {
  command = plan

  module {
    source = "./environments/prod"
  }

  assert {
    condition     = length(local.unknown) == 0 && length(local.known) > 40 && length(local.given) > 5
    error_message = "terraform.tfvars has values that no variable takes: ${join(", ", local.unknown)}."
  }

  # signing_keys.auto.tfvars.json and account.auto.tfvars.json, which are not here.
  assert {
    condition     = strcontains(file("${path.module}/main.tf"), "fileset(path.module, \"*.auto.tfvars.json\") : keys(jsondecode(file(")
    error_message = "A misspelt name in *.auto.tfvars.json is refused too."
  }

  assert {
    condition = length(setsubtract(local.known, [for found in regexall("(?m)^  ([a-z0-9_]+) += var\\.([a-z0-9_]+)$", file("environments/shared/main.tf")) :
    found[0] if found[0] == found[1]])) == 0
    error_message = "environments/shared/main.tf hands every variable on."
  }

  assert {
    condition     = local.tags.Environment == "prod" && local.tags.Project == "ffp"
    error_message = "Everything says whose it is."
  }
}

run "values_of_another_directory" {
  command = plan

  module {
    source = "./environments/staging"
  }

  expect_failures = [output.platform]
}

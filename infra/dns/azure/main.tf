# Azure DNS knows no health: a Traffic Manager profile answers with up to eight ready addresses (MultiValue), and the
# name points at it. With none ready it answers with all.
terraform {
  required_version = ">= 1.5"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.0"
    }
  }
}

locals {
  addresses = merge(
    { for id, node in var.nodes : "${id}-ipv4" => node.ipv4 },
    { for id, node in var.nodes : "${id}-ipv6" => node.ipv6 if node.ipv6 != null },
  )
}

resource "azurerm_traffic_manager_profile" "edges" {
  name                   = replace(var.name, ".", "-")
  resource_group_name    = var.resource_group_name
  traffic_routing_method = "MultiValue"
  max_return             = 8

  dns_config {
    relative_name = var.relative_name
    ttl           = var.ttl
  }

  monitor_config {
    protocol                     = var.health.tls ? "HTTPS" : "HTTP"
    port                         = var.health.port
    path                         = var.health.path
    interval_in_seconds          = 10
    timeout_in_seconds           = 5
    tolerated_number_of_failures = 0
  }
}

resource "azurerm_traffic_manager_external_endpoint" "node" {
  for_each = local.addresses

  name       = each.key
  profile_id = azurerm_traffic_manager_profile.edges.id
  target     = each.value
  weight     = 1
}

resource "azurerm_dns_cname_record" "edges" {
  name                = trimsuffix(var.name, ".${var.zone_name}")
  zone_name           = var.zone_name
  resource_group_name = var.resource_group_name
  ttl                 = var.ttl
  record              = azurerm_traffic_manager_profile.edges.fqdn
}

{{/*
Refuse what cannot work, in one sentence. What the cluster has is only known to helm install and
helm upgrade: lookup finds nothing in helm template, and Helm names what the user may not read.
*/}}
{{- define "flamingo-operator.checks" -}}
{{- $name := include "flamingo-operator.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
{{- fail (printf "%q cannot be the name of a Service, which has lower-case letters, digits and dashes, and begins with a letter: set fullnameOverride, or choose another name for the release" $name) }}
{{- end }}
{{- include "flamingo-operator.requireOwnFlags" . }}
{{- with .Values.observeKeySecretRef.name }}
{{- include "flamingo-operator.requireSecret" (list $ .) }}
{{- end }}
{{- if and .Values.requireSingleOperator .Values.rbac.create }}
{{- range .Values.watchNamespaces | default (list "") }}
{{- include "flamingo-operator.requireNoOther" (list $ "RoleBinding" .) }}
{{- end }}
{{- /* Who may install one of these may list the bindings of the cluster. */}}
{{- if or (not .Values.watchNamespaces) .Values.crds.install .Values.rbac.aggregateClusterRoles }}
{{- include "flamingo-operator.requireNoOther" (list $ "ClusterRoleBinding" "") }}
{{- end }}
{{- end }}
{{- end }}

{{/* A namespace has the account default, so that without it the namespace is new, or unknown. */}}
{{- define "flamingo-operator.requireSecret" -}}
{{- $root := index . 0 }}
{{- $name := index . 1 }}
{{- $namespace := $root.Release.Namespace }}
{{- if and (lookup "v1" "ServiceAccount" $namespace "default") (not (lookup "v1" "Secret" $namespace $name)) }}
{{- fail (printf "observeKeySecretRef.name is %s, but the namespace %s has no Secret of that name: create it first, with the API key in the entry %s" $name $namespace $root.Values.observeKeySecretRef.key) }}
{{- end }}
{{- end }}

{{/* The last of two equal flags wins: probes, images and permissions would not fit it. */}}
{{- define "flamingo-operator.requireOwnFlags" -}}
{{- $values := dict "batches-image" "batchesImage" "log-level" "logLevel" "namespaces" "watchNamespaces" "router-image" "routerImage" "scraper-namespaces" "scraperNamespaces" "server-image" "serverImage" }}
{{- range .Values.extraArgs }}
{{- $flag := regexReplaceAll "^--|=.*$" . "" }}
{{- if hasKey $values $flag }}
{{- fail (printf "extraArgs has --%s, which the chart sets: use the value %s" $flag (get $values $flag)) }}
{{- else if eq $flag "port" }}
{{- fail "extraArgs has --port, but probes, the Service and fleets' NetworkPolicies use port 8000: remove it" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Two operators of one namespace would each create server pods: (list $ KIND NAMESPACE). */}}
{{- define "flamingo-operator.requireNoOther" -}}
{{- $own := include "flamingo-operator.clusterName" (index . 0) }}
{{- $release := (index . 0).Release }}
{{- $kind := index . 1 }}
{{- range (lookup "rbac.authorization.k8s.io/v1" $kind (index . 2) "").items }}
{{- $labels := .metadata.labels | default dict }}
{{- $isOperator := and (eq (get $labels "app.kubernetes.io/part-of") "flamingo-fleet") (eq (get $labels "app.kubernetes.io/component") "operator") }}
{{- $notes := .metadata.annotations | default dict }}
{{- $isOwn := and (eq (get $notes "meta.helm.sh/release-name") $release.Name) (eq (get $notes "meta.helm.sh/release-namespace") $release.Namespace) }}
{{- if and $isOperator (not $isOwn) (ne .metadata.name $own) (not (hasSuffix "-lease" .metadata.name)) }}
{{- fail (printf "the operator of the %s %s already runs the FlamingoDeployments of %s: uninstall it, or give each operator namespaces of its own in watchNamespaces" $kind .metadata.name (.metadata.namespace | default "all namespaces")) }}
{{- end }}
{{- end }}
{{- end }}

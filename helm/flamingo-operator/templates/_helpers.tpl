{{- define "flamingo-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of namespaced objects: that of the release, with the chart's unless it contains it. */}}
{{- define "flamingo-operator.fullname" -}}
{{- $name := include "flamingo-operator.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The name of cluster-scoped objects, and of roles in other namespaces: unique in the cluster. */}}
{{- define "flamingo-operator.clusterName" -}}
{{- printf "%s-%s" (include "flamingo-operator.fullname" .) .Release.Namespace }}
{{- end }}

{{- define "flamingo-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "flamingo-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The NetworkPolicies of server pods and router pods admit the operator by its component. */}}
{{- define "flamingo-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "flamingo-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "flamingo-operator.labels" -}}
{{- $own := include "flamingo-operator.selectorLabels" . | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion }}
{{- $_ := set $own "app.kubernetes.io/part-of" "flamingo-fleet" }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- merge $own .Values.commonLabels | toYaml }}
{{- end }}

{{/* Metadata: (dict "root" $ "name" … "namespace" … "labels" … "annotations" …), the last three optional. */}}
{{- define "flamingo-operator.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- merge (include "flamingo-operator.labels" .root | fromYaml) (.labels | default dict) | toYaml | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The reference of an image: (list $ .Values.image). */}}
{{- define "flamingo-operator.image" -}}
{{- $root := index . 0 }}
{{- $image := index . 1 }}
{{- $repository := $image.repository }}
{{- with $root.Values.global.imageRegistry }}
{{- $parts := splitList "/" $repository }}
{{- if and (rest $parts) (regexMatch "[.:]|^localhost$" (first $parts)) }}
{{- $parts = rest $parts }}
{{- end }}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (join "/" $parts) }}
{{- end }}
{{- if $image.digest }}
{{- $repository }}{{ with $image.tag }}:{{ . }}{{ end }}@{{ $image.digest }}
{{- else }}
{{- $repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* A role with rules, and its binding to the operator's account. */}}
{{- define "flamingo-operator.boundRole" -}}
{{- $metadata := include "flamingo-operator.metadata" . -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .scope }}Role
metadata:
  {{- $metadata | nindent 2 }}
rules:
  {{- toYaml .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .scope }}RoleBinding
metadata:
  {{- $metadata | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .scope }}Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "flamingo-operator.serviceAccountName" .root }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}

{{/* Refuse what the cluster does not know, in one sentence: (list $ VALUE KIND). */}}
{{- define "flamingo-operator.requirePrometheusOperator" -}}
{{- $root := index . 0 }}
{{- $kind := printf "monitoring.coreos.com/v1/%s" (index . 2) }}
{{- if not ($root.Capabilities.APIVersions.Has $kind) }}
{{- fail (printf "%s.enabled is true, but the cluster has no %s: install the Prometheus operator first, or pass --api-versions=%s to helm template" (index . 1) (index . 2) $kind) }}
{{- end }}
{{- end }}

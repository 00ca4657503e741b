{{/* The name of the FlamingoDeployment, which the operator gives to the Service, too. */}}
{{- define "flamingo.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name -}}
{{- end }}

{{- define "flamingo.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: flamingo
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The Secret with the API keys; empty if the fleet needs none or has an `auth` of its own. */}}
{{- define "flamingo.apiKeysSecret" -}}
{{- if .Values.apiKeys.keys -}}
{{ include "flamingo.fullname" . }}-api-keys
{{- else -}}
{{ .Values.apiKeys.existingSecret }}
{{- end -}}
{{- end }}

{{/* The address of the fleet inside of the cluster, as in its status. */}}
{{- define "flamingo.url" -}}
{{- $router := (include "flamingo.spec" . | fromYaml).router | default dict -}}
{{- $name := include "flamingo.fullname" . -}}
{{- if eq (toString (dig "enabled" true $router)) "false" -}}
http://{{ $name }}-servers.{{ .Release.Namespace }}.svc:8000
{{- else -}}
{{- $port := int (dig "service" "port" 80 $router) -}}
http://{{ $name }}.{{ .Release.Namespace }}.svc{{ if ne $port 80 }}:{{ $port }}{{ end }}
{{- end -}}
{{- end }}

{{/* A mapping as JSON, without what a values file has unset with null. */}}
{{- define "flamingo.withoutNull" -}}
{{- $out := dict -}}
{{- range $key, $value := . -}}
{{- if kindIs "map" $value -}}
{{- $_ := set $out $key (include "flamingo.withoutNull" $value | fromJson) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $out $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $out -}}
{{- end }}

{{/* The image of the test: that of the routers, as far as the chart knows it. */}}
{{- define "flamingo.testImage" -}}
{{- $router := (include "flamingo.spec" . | fromYaml).router | default dict -}}
{{- $registry := (.Values.global | default dict).imageRegistry | default "ghcr.io" | trimSuffix "/" -}}
{{- .Values.tests.image | default $router.image | default (printf "%s/flamingo-fleet/router:%s" $registry .Chart.AppVersion) -}}
{{- end }}

{{/* The spec: every value that is not the chart's own. */}}
{{- define "flamingo.spec" -}}
{{- $own := list "apiKeys" "tests" "fullnameOverride" "nameOverride" "commonLabels" "commonAnnotations" "requireCRD" "global" "enabled" -}}
{{- $spec := dict -}}
{{- range $key, $value := .Values -}}
{{- if and (not (has $key $own)) (not (and (kindIs "map" $value) (empty $value))) -}}
{{- $_ := set $spec $key $value -}}
{{- end -}}
{{- end -}}
{{- $spec = include "flamingo.withoutNull" $spec | fromJson -}}
{{- with include "flamingo.apiKeysSecret" . -}}
{{- $auth := dict "keysSecretRef" (dict "name" .) "observeKeySecretRef" (dict "name" .) -}}
{{- if $spec.batches -}}
{{- $_ := set $auth "batchesKeySecretRef" (dict "name" .) -}}
{{- end -}}
{{- $_ := set $spec "auth" $auth -}}
{{- end -}}
{{ toYaml $spec }}
{{- end }}

{{/* Each router would refuse such a key file, and so not start. */}}
{{- define "flamingo.checkKeys" -}}
{{- $seen := dict -}}
{{- range .Values.apiKeys.keys -}}
{{- if has .name (list "flamingo-observe" "flamingo-test" "flamingo-batches") -}}
{{- fail (printf "apiKeys.keys has the name %s, which the chart gives to a key of its own: choose another name" .name) -}}
{{- end -}}
{{- if hasKey $seen .sha256 -}}
{{- fail (printf "apiKeys.keys has the same sha256 for %s and %s: remove one of them" (get $seen .sha256) .name) -}}
{{- end -}}
{{- $_ := set $seen .sha256 .name -}}
{{- end -}}
{{- end }}

{{/* A namespace has the account default, so that without it the namespace is new, or unknown. */}}
{{- define "flamingo.checkExistingSecret" -}}
{{- $namespace := .Release.Namespace -}}
{{- $name := .Values.apiKeys.existingSecret -}}
{{- if and $name (lookup "v1" "ServiceAccount" $namespace "default") -}}
{{- $entries := (lookup "v1" "Secret" $namespace $name).data | default dict -}}
{{- range concat (list "keys.yaml" "observe-key") (ternary (list "batches-key") (list) (not (empty .Values.batches))) -}}
{{- if not (hasKey $entries .) -}}
{{- fail (printf "apiKeys.existingSecret is %s, but the namespace %s has no Secret of that name with the entry %s: create it first" $name $namespace .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Stop with a sentence where the values contradict each other or the cluster lacks the CRD. */}}
{{- define "flamingo.check" -}}
{{- $name := include "flamingo.fullname" . -}}
{{- if or (gt (len $name) 40) (hasSuffix "-servers" $name) (not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name)) -}}
{{- fail (printf "%q cannot be the name of a FlamingoDeployment, after which pods and Services are named: it must have at most 40 lower-case letters, digits and dashes, begin with a letter and not end with -servers; set fullnameOverride, or choose another name for the release" $name) -}}
{{- end -}}
{{- $keys := .Values.apiKeys -}}
{{- if and $keys.keys $keys.existingSecret -}}
{{- fail "apiKeys.keys and apiKeys.existingSecret are both set: remove one of them" -}}
{{- end -}}
{{- if and .Values.auth (or $keys.keys $keys.existingSecret) -}}
{{- fail "auth and apiKeys are both set, and apiKeys sets auth: remove one of them" -}}
{{- end -}}
{{- include "flamingo.checkKeys" . -}}
{{- include "flamingo.checkExistingSecret" . -}}
{{- $apis := .Capabilities.APIVersions -}}
{{- /* Only a real cluster states kinds; `helm template` has a built-in list of versions. */ -}}
{{- if and .Values.requireCRD ($apis.Has "v1/Namespace") (not ($apis.Has "flamingo.dev/v1alpha1/FlamingoDeployment")) -}}
{{- fail "the cluster has no FlamingoDeployments: install the chart flamingo-operator first (helm install flamingo-operator oci://ghcr.io/flamingo-fleet/charts/flamingo-operator --namespace flamingo-system --create-namespace)" -}}
{{- end -}}
{{- end }}

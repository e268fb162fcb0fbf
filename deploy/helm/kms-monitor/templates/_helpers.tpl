{{- define "kms-monitor.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "kms-monitor.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "kms-monitor.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "kms-monitor.selector" -}}
app.kubernetes.io/name: {{ include "kms-monitor.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kms-monitor.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "kms-monitor.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kms-monitor.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "kms-monitor.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "kms-monitor.configMap" -}}
{{- default (include "kms-monitor.fullname" .) .Values.existingConfigMap -}}
{{- end -}}

{{- define "kms-monitor.claim" -}}
{{- default (include "kms-monitor.fullname" .) .Values.persistence.existingClaim -}}
{{- end -}}

{{/* sqlite, dynamodb or memory */}}
{{- define "kms-monitor.store" -}}
{{- dig "store" "kind" "sqlite" .Values.settings -}}
{{- end -}}

{{- define "kms-monitor.image" -}}
{{- $repository := required "image.repository is required: the place that you have pushed the image to" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "kms-monitor.region" -}}
{{- $queues := default (list) .Values.settings.queues -}}
{{- if .Values.aws.region -}}
{{- .Values.aws.region -}}
{{- else if $queues -}}
{{- (first $queues).region -}}
{{- end -}}
{{- end -}}

{{/* What would install well and then guard nothing, or harm. */}}
{{- define "kms-monitor.refuse" -}}
{{- $store := include "kms-monitor.store" . -}}
{{- $scaled := or .Values.keda.enabled .Values.autoscaling.enabled -}}
{{- if and (ne $store "dynamodb") (or $scaled (gt (int .Values.replicas) 1)) -}}
{{- fail (printf "several replicas need settings.store.kind: dynamodb, for the store %s is one pod's own" $store) -}}
{{- end -}}
{{- if and .Values.keda.enabled .Values.autoscaling.enabled -}}
{{- fail "keda.enabled and autoscaling.enabled would pull at the same Deployment: choose one" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled -}}
{{- fail "serviceMonitor.enabled and podMonitor.enabled would scrape every pod twice: choose one" -}}
{{- end -}}
{{- if and (lt (int .Values.replicas) 1) (not $scaled) -}}
{{- fail "replicas must be 1 or more: nobody would guard the keys" -}}
{{- end -}}
{{- $grace := default 25 .Values.settings.grace_seconds -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (add 5 (ceil $grace | int)) -}}
{{- fail (printf "terminationGracePeriodSeconds must be 5 or more above settings.grace_seconds (%v)" $grace) -}}
{{- end -}}
{{- if and .Values.keda.enabled (not .Values.settings.queues) -}}
{{- fail "keda.enabled needs settings.queues, whose length it looks at" -}}
{{- end -}}
{{- if not .Values.existingConfigMap -}}
{{- if not .Values.settings.mode -}}
{{- fail "settings.mode is required: observe (write nothing to KMS) or enforce" -}}
{{- end -}}
{{- if not .Values.settings.queues -}}
{{- fail "settings.queues is required: the SQS queues that EventBridge sends to" -}}
{{- end -}}
{{- if not (or .Values.settings.accounts .Values.settings.organizations) -}}
{{- fail "settings.accounts or settings.organizations is required: whose keys are guarded" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The text with your address of the runbooks instead of the placeholder; of the root and the text. */}}
{{- define "kms-monitor.runbooks" -}}
{{- $root := index . 0 -}}
{{- index . 1 | replace "https://kms-monitor.example.org/runbooks" (trimSuffix "/" $root.Values.prometheusRule.runbookUrl) -}}
{{- end -}}

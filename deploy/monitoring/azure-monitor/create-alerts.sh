#!/usr/bin/env bash
# Creates or renews an alert in Azure Monitor for each query in alerts/. It needs the Azure CLI and its sign-in.
#
#   create-alerts.sh RESOURCE_GROUP WORKSPACE_ID [ACTION_GROUP_ID]
#
# WORKSPACE_ID is the resource id of the Log Analytics workspace that holds the log; ACTION_GROUP_ID who is told.
set -euo pipefail

if [[ $# -lt 2 || $# -gt 3 ]]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
group=$1 workspace=$2 told=${3:+--action-groups $3}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

for file in "$here"/alerts/*.kql; do
    name=aci-hooks-$(basename "$file" .kql)
    severity=$(sed -nE '1s|^// severity ([0-4]): .*|\1|p' "$file")
    description=$(sed -nE '1s|^// severity [0-4]: (.*)|\1|p' "$file")
    # A query may look back for longer than the alert is evaluated: steady trouble is a matter of half an hour.
    window=5m
    [[ $name == *-steady-trouble ]] && window=30m
    echo "$name"
    # shellcheck disable=SC2086 # an id has no blanks, and nothing is passed without one
    az monitor scheduled-query create --resource-group "$group" --name "$name" --scopes "$workspace" \
        --description "$description" --severity "$severity" --evaluation-frequency 5m --window-size "$window" \
        --condition "count 'Lines' > 0 at least 1 violations out of 1 aggregated points" \
        --condition-query Lines="$(cat "$here/lines.kql" "$file")" \
        --auto-mitigate false $told --output none
done

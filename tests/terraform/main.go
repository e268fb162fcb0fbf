// A provider that only knows schemas, so that `terraform validate` can check the modules in deploy/terraform
// where the real hashicorp/aws, which is downloaded from elsewhere, cannot be had. It makes nothing.
//
// Its schemas, in aws-schema.json, are the excerpt of hashicorp/aws that the modules use.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"log"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

//go:embed aws-schema.json
var text []byte

// Attribute is a name with its type, as Terraform's JSON writes types.
type Attribute struct {
	Type     json.RawMessage `json:"type"`
	Required bool            `json:"required"`
	Optional bool            `json:"optional"`
	Computed bool            `json:"computed"`
}

// Block is what stands between braces: attributes, and blocks by name.
type Block struct {
	Attributes map[string]Attribute `json:"attributes"`
	Blocks     map[string]Block     `json:"blocks"`
}

// Schemas is the whole file.
type Schemas struct {
	Resources map[string]Block `json:"resources"`
	Data      map[string]Block `json:"data"`
}

func (b Block) schema() *tfprotov5.SchemaBlock {
	made := &tfprotov5.SchemaBlock{}
	for name, one := range b.Attributes {
		kind, err := tftypes.ParseJSONType(one.Type) //nolint:staticcheck // there is no other
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
		made.Attributes = append(made.Attributes, &tfprotov5.SchemaAttribute{
			Name: name, Type: kind, Required: one.Required, Optional: one.Optional, Computed: one.Computed,
		})
	}
	for name, one := range b.Blocks {
		made.BlockTypes = append(made.BlockTypes, &tfprotov5.SchemaNestedBlock{
			TypeName: name, Nesting: tfprotov5.SchemaNestedBlockNestingModeList, Block: one.schema(),
		})
	}
	return made
}

type provider struct {
	tfprotov5.ProviderServer
	schemas Schemas
}

var errOnlySchemas = errors.New("this provider knows only schemas")

func all(blocks map[string]Block) map[string]*tfprotov5.Schema {
	made := map[string]*tfprotov5.Schema{}
	for name, one := range blocks {
		made[name] = &tfprotov5.Schema{Block: one.schema()}
	}
	return made
}

func (p provider) GetMetadata(context.Context, *tfprotov5.GetMetadataRequest) (*tfprotov5.GetMetadataResponse, error) {
	answer := &tfprotov5.GetMetadataResponse{}
	for name := range p.schemas.Resources {
		answer.Resources = append(answer.Resources, tfprotov5.ResourceMetadata{TypeName: name})
	}
	for name := range p.schemas.Data {
		answer.DataSources = append(answer.DataSources, tfprotov5.DataSourceMetadata{TypeName: name})
	}
	return answer, nil
}

func (p provider) GetProviderSchema(context.Context, *tfprotov5.GetProviderSchemaRequest) (*tfprotov5.GetProviderSchemaResponse, error) {
	empty := &tfprotov5.Schema{Block: &tfprotov5.SchemaBlock{}}
	return &tfprotov5.GetProviderSchemaResponse{
		Provider:          empty,
		ResourceSchemas:   all(p.schemas.Resources),
		DataSourceSchemas: all(p.schemas.Data),
	}, nil
}

func (p provider) PrepareProviderConfig(_ context.Context, asked *tfprotov5.PrepareProviderConfigRequest) (*tfprotov5.PrepareProviderConfigResponse, error) {
	return &tfprotov5.PrepareProviderConfigResponse{PreparedConfig: asked.Config}, nil
}

func (p provider) ValidateResourceTypeConfig(context.Context, *tfprotov5.ValidateResourceTypeConfigRequest) (*tfprotov5.ValidateResourceTypeConfigResponse, error) {
	return &tfprotov5.ValidateResourceTypeConfigResponse{}, nil
}

func (p provider) ValidateDataSourceConfig(context.Context, *tfprotov5.ValidateDataSourceConfigRequest) (*tfprotov5.ValidateDataSourceConfigResponse, error) {
	return &tfprotov5.ValidateDataSourceConfigResponse{}, nil
}

func (p provider) ConfigureProvider(context.Context, *tfprotov5.ConfigureProviderRequest) (*tfprotov5.ConfigureProviderResponse, error) {
	return nil, errOnlySchemas
}

func (p provider) StopProvider(context.Context, *tfprotov5.StopProviderRequest) (*tfprotov5.StopProviderResponse, error) {
	return &tfprotov5.StopProviderResponse{}, nil
}

func main() {
	var schemas Schemas
	if err := json.Unmarshal(text, &schemas); err != nil {
		log.Fatal(err)
	}
	make := func() tfprotov5.ProviderServer { return provider{schemas: schemas} }
	if err := tf5server.Serve("registry.terraform.io/hashicorp/aws", make); err != nil {
		log.Fatal(err)
	}
}
